"""Generators of which each breaks the one rule that it is named after."""

import random

import torch
from torch import nn
from torch.nn import functional

import p2pkit

DOC = """A network with a fault.

Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1].
Source: none.
"""


class Fine(nn.Module):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__()
        self.layer = nn.Conv2d(images.source.channels, images.target.channels, 3, padding=1)

    def forward(self, source):
        return self.layer(source).tanh()


class TooSmall(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(source)[:, :, 1:]


class ColourOnly(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        self.layer = nn.Conv2d(3, 3, 3, padding=1)


class Unbounded(Fine):
    __doc__ = DOC

    def forward(self, source):
        return self.layer(source)


class Idle(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        self.unused = nn.Linear(2, 2)


class OwnDice(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        nn.init.constant_(self.layer.bias, random.SystemRandom().random())


class Forgetful(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        self.offset = torch.rand(1)

    def forward(self, source):
        return (self.layer(source) + self.offset).tanh()


class OnCpu(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        self.offset = nn.Parameter(torch.zeros(1, device="cpu"))

    def forward(self, source):
        return (self.layer(source) + self.offset).tanh()


class BreaksGraph(Fine):
    __doc__ = DOC

    def forward(self, source):
        torch._dynamo.graph_break()
        return super().forward(source)


class Cancelling(Fine):
    __doc__ = DOC

    def forward(self, source):
        changed = self.layer(source)
        return (changed / (torch.ones_like(changed) + 1e-3 - 1) * 1e-3).tanh()


class ReadsStrides(Fine):
    __doc__ = DOC

    def forward(self, source):
        changed = self.layer(source)
        _, channels, height, width = changed.shape
        return changed.as_strided(changed.shape, (channels * height * width, height * width, width, 1)).tanh()


class Pooled(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__(images)
        self.norm = nn.BatchNorm2d(images.target.channels)

    def forward(self, source):
        changed = self.layer(source)
        return (changed + self.norm(changed.mean((2, 3), keepdim=True))).tanh()


class AlwaysDrops(Fine):
    __doc__ = DOC

    def forward(self, source):
        return functional.dropout(self.layer(source), training=True).tanh()


class Halves(Fine):
    __doc__ = DOC

    def forward(self, source):
        half = functional.max_pool2d(self.layer(source), 2)
        return half.repeat_interleave(2, 2).repeat_interleave(2, 3).tanh()


class HalvesAndSaysSo(Halves):
    __doc__ = DOC
    multiple = 2


class Stochastic(AlwaysDrops):
    __doc__ = DOC
    stochastic = True


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("shape", TooSmall)
    yield p2pkit.Generator("shape_2", ColourOnly)
    yield p2pkit.Generator("range", Unbounded)
    yield p2pkit.Generator("gradients", Idle)
    yield p2pkit.Generator("seed", OwnDice)
    yield p2pkit.Generator("state_dict", Forgetful)
    yield p2pkit.Generator("meta", OnCpu)
    yield p2pkit.Generator("compile", BreaksGraph)
    yield p2pkit.Generator("autocast", Cancelling)
    yield p2pkit.Generator("channels_last", ReadsStrides)
    yield p2pkit.Generator("batch_of_one", Pooled)
    yield p2pkit.Generator("deterministic", AlwaysDrops)
    yield p2pkit.Generator("multiple", Halves)
    yield p2pkit.Generator("nothing", Stochastic)
    yield p2pkit.Generator("nothing_2", HalvesAndSaysSo)
