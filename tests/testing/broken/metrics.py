"""Metrics of which each breaks the one rule that it is named after."""

import torch
from torchmetrics import Metric

import p2pkit


class Fine(Metric):
    """A metric with a fault."""

    higher_is_better = False
    full_state_update = False
    reduce = "sum"

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx=self.reduce)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def difference(self, fake, target):
        return (fake - target).abs()

    def update(self, fake, target):
        self.total += self.difference(fake, target).mean((1, 2, 3)).sum()
        self.count += len(fake)

    def compute(self):
        return self.total / self.count


class Undirected(Fine):
    """A metric with a fault."""

    higher_is_better = None


class Offset(Fine):
    """A metric with a fault."""

    def difference(self, fake, target):
        return (super().difference(fake, target).mean((1, 2, 3), keepdim=True) - 0.4).abs()


class SignBlind(Fine):
    """A metric with a fault."""

    def difference(self, fake, target):
        return (fake.abs() - target.abs()).abs()


class MeanOfBatches(Fine):
    """A metric with a fault."""

    def update(self, fake, target):
        self.total += self.difference(fake, target).mean()
        self.count += 1


class Largest(Fine):
    """A metric with a fault."""

    reduce = "max"


@p2pkit.hookimpl
def p2pkit_metrics():
    yield p2pkit.Metric("interface", Undirected)
    yield p2pkit.Metric("best_on_identical", Offset)
    yield p2pkit.Metric("worse_on_opposite", SignBlind)
    yield p2pkit.Metric("batches", MeanOfBatches)
    yield p2pkit.Metric("merge", Largest)
    yield p2pkit.Metric("nothing", Fine)
