"""Generators of which each breaks the one rule that it is named after."""

import random
from typing import ClassVar

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


class OtherwiseCompiled(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(source) * (0.5 if torch.compiler.is_compiling() else 1)


class BadAttribute(Fine):
    __doc__ = DOC
    stochastic = "yes"


class Double(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(source).double()


class Neighbours(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(source + source.mean(0, keepdim=True))


class IgnoresSource(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(torch.zeros_like(source))


class Trains(Fine):
    __doc__ = DOC

    def forward(self, source):
        self.train()
        return super().forward(source)


class Counts(Fine):
    __doc__ = DOC
    calls = 0

    def forward(self, source):
        self.calls += 1
        return super().forward(source)


class Throws(Fine):
    __doc__ = DOC

    def forward(self, source):
        random.random()
        return super().forward(source)


class Exempt(Fine):
    __doc__ = DOC
    exempt: ClassVar = {"range": "its images are of a range of their own"}

    def forward(self, source):
        return self.layer(source)


class AsksForValues(Fine):
    __doc__ = DOC

    def forward(self, source):
        return super().forward(source) * (0.5 if source.sum().item() > 1e9 else 1)


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


class IgnoresNoise(Fine):
    __doc__ = DOC

    def forward(self, source, z):
        return super().forward(source)


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("shape", TooSmall)
    yield p2pkit.Generator("shape_2", ColourOnly)
    yield p2pkit.Generator("range", Unbounded)
    yield p2pkit.Generator("gradients", Idle)
    yield p2pkit.Generator("seed", OwnDice)
    yield p2pkit.Generator("state_dict", Forgetful)
    yield p2pkit.Generator("meta", OnCpu)
    yield p2pkit.Generator("compile", OtherwiseCompiled)
    yield p2pkit.Generator("attributes", BadAttribute)
    yield p2pkit.Generator("single_precision", Double)
    yield p2pkit.Generator("pairs_apart", Neighbours)
    yield p2pkit.Generator("uses_source", IgnoresSource)
    yield p2pkit.Generator("extras", IgnoresNoise, extras={"z": p2pkit.VectorSpec(4, "noise")})
    yield p2pkit.Generator("keeps_mode", Trains)
    yield p2pkit.Generator("no_hidden_state", Counts)
    yield p2pkit.Generator("torchs_dice", Throws)
    yield p2pkit.Generator("autocast", Cancelling)
    yield p2pkit.Generator("channels_last", ReadsStrides)
    yield p2pkit.Generator("batch_of_one", Pooled)
    yield p2pkit.Generator("deterministic", AlwaysDrops)
    yield p2pkit.Generator("multiple", Halves)
    yield p2pkit.Generator("nothing", Stochastic)
    yield p2pkit.Generator("nothing_2", HalvesAndSaysSo)
    yield p2pkit.Generator("nothing_3", BreaksGraph)
    yield p2pkit.Generator("nothing_4", Exempt)
    yield p2pkit.Generator("no_host_read", AsksForValues)
