"""The rule that a component asks the device for nothing, tried where there is no GPU."""

from __future__ import annotations

import torch

from p2pkit.testing.host_reads import HostRead, no_host_read
from p2pkit.testing.rule import rule
from p2pkit.testing.rules.cuda import call_of
from p2pkit.testing.subject import Subject


@rule("generator", "discriminator", "loss", "augmentation", "optimizer")
def no_host_read_(subject: Subject) -> None:
    """It asks the device for no value: on a GPU the host would wait for it."""
    call = call_of(subject)
    call()  # the first call may make what later ones use
    try:
        with no_host_read():
            learning = [value.float().mean() for value in call() if value.requires_grad]
            if learning:
                torch.stack(learning).sum().backward()  # type: ignore[no-untyped-call]  # torch's
    except HostRead as error:
        remedy = "leave out .item(), .cpu(), .tolist(), boolean indexing, and branches on a tensor's value"
        raise AssertionError(f"It asks the device for a value ({error}): {remedy}.") from None
