"""A plugin for runs of two processes: networks with a spare layer, a metric, and a loss that acts on its process."""

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

import p2pkit

P2PKIT_PLUGIN_API = 2
RANK = os.environ.get("RANK", "0")


class Spare(nn.Module):
    """A layer that works and one that is never called."""

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__()
        self.used = nn.Conv2d(images.source.channels, images.target.channels, 3, padding=1)
        self.spare = nn.Conv2d(1, 1, 1)

    def forward(self, source):
        return self.used(source).tanh()


class SpareJudge(nn.Module):
    """The same of a discriminator."""

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__()
        self.used = nn.Conv2d(images.source.channels + images.target.channels, 1, 3)
        self.spare = nn.Conv2d(1, 1, 1)

    def forward(self, source, image):
        return p2pkit.Verdict((self.used(torch.cat([source, image], 1)).sin(),))


class Deed:
    """In its third step process 1 dies, stops or fails, or every step takes a while."""

    def __init__(
        self, *, what: Annotated[Literal["die", "stop", "fail", "wait"], Field(description="What is done.")]
    ) -> None:
        self.what = what
        self.calls = 0

    def generator(self, view):
        if view.fake.is_meta:
            return view.fake.mean()
        self.calls += 1
        Path(f"step-{self.calls}-of-{RANK}").touch()
        if self.what == "wait":
            time.sleep(0.05)
        elif self.calls == 3 and RANK == "1":
            if self.what == "fail":
                raise RuntimeError("the third step is too much")
            os.kill(os.getpid(), signal.SIGKILL if self.what == "die" else signal.SIGSTOP)
        return view.fake.mean()


class Noted:
    """Changes nothing, and writes a line for each batch: which pairs it has."""

    def __init__(self, *, to: Annotated[str, Field(description="The beginning of the file's name.")]) -> None:
        self.file = Path(f"{to}-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-{RANK}.txt")

    def __call__(self, source, target):
        pairs = [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:8] for image in source]
        with self.file.open("a") as file:
            file.write(f"{' '.join(pairs)}\n")
        return source, target


class Uncertain(nn.Module):
    """Distances by a learned uncertainty, of the fake and of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def generator(self, view):
        again = view.generate(view.source.flip(-1)).flip(-1)
        view.log("log_variance", self.log_variance)
        apart = (view.fake - view.target).square().mean() + (again - view.target).square().mean()
        return (-self.log_variance).exp() * apart + self.log_variance


def few() -> nn.Module:
    """A metric that tells of how many pairs it has seen."""
    from torchmetrics import SumMetric

    class Few(SumMetric):
        higher_is_better = True

        def update(self, fake, target):
            super().update(torch.ones(len(fake)))

        def warnings(self):
            yield f"{int(self.sum_value)} pairs are few"

    return Few()


@p2pkit.hookimpl
def p2pkit_metrics():
    yield p2pkit.Metric("few", few)


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("spare", Spare)


@p2pkit.hookimpl
def p2pkit_discriminators():
    yield p2pkit.Discriminator("spare", SpareJudge)


@p2pkit.hookimpl
def p2pkit_augmentations():
    yield p2pkit.Augmentation("noted", Noted)


@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("deed", Deed)
    yield p2pkit.Loss("uncertain", Uncertain)


if os.environ.get("P2PKIT_TEST_GRACE"):
    from p2pkit.engine.distributed import signals

    signals.GRACE = float(os.environ["P2PKIT_TEST_GRACE"])
