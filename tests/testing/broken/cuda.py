"""Losses of which each breaks, on a GPU, the one rule that it is named after."""

import torch

import p2pkit

DOC = """A loss with a fault.

Source: none.
"""


class Waits:
    __doc__ = DOC

    def generator(self, view):
        value = (view.fake - view.target).square().mean()
        if not (value.is_cuda and torch.cuda.is_current_stream_capturing()):
            value = value * torch.ones(()).to(value.device)  # from memory that isn't pinned
        return value


class Decides:
    __doc__ = DOC

    def generator(self, view):
        value = (view.fake - view.target).square().mean()
        return 2 * value if value.is_cuda and torch.cuda.is_current_stream_capturing() else value


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("no_host_sync", Waits)
    yield p2pkit.Loss("captured", Decides)
