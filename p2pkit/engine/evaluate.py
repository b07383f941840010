"""Score a generator on held-out pairs, beside predictions that need no learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from p2pkit.config import Plan
from p2pkit.engine.data import Loader
from p2pkit.engine.evaluation_files import save_evaluation
from p2pkit.engine.sheet import Row, draw_sheet, side_by_side
from p2pkit.images import to_picture
from p2pkit.types import PairSpec, Report, Samples

Predict = Callable[[Tensor], Tensor]
_MOST_FOR_MEAN = 4096
"""Targets that make up the mean: more would change nothing but the time before the first step."""


@contextmanager
def inference(generator: nn.Module, *, batch_norm: str = "running", dropout: str = "off") -> Iterator[None]:
    """Put a generator into the mode it is judged and used in, without a trace in its weights, statistics or seeds.

    Args:
        generator: The network.
        batch_norm: `running` uses the statistics gathered in training; `batch` those of the images at hand.
        dropout: `on` keeps dropout active.
    """
    before = {module: module.training for module in generator.modules()}
    momenta: dict[Any, float | None] = {}
    generator.eval()
    for module in before:
        if batch_norm == "batch" and isinstance(module, nn.modules.batchnorm._BatchNorm):
            momenta[module] = module.momentum
            module.momentum = 0.0
            module.train()
        if dropout == "on" and isinstance(module, nn.modules.dropout._DropoutNd):
            module.train()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            yield
    finally:
        for module, training in before.items():
            module.training = training
        for module, momentum in momenta.items():
            module.momentum = momentum


class Evaluator:
    """Scores generators on one split, always in the same way.

    Args:
        plan: The run's plan.
        images: What the images are.
        loader: The split's batches.
        split: The split's name.
        mean: The mean of the training targets, for the baseline.
    """

    def __init__(self, plan: Plan, images: PairSpec, loader: Loader, split: str, mean: Tensor | None) -> None:
        self.plan = plan
        self.images = images
        self.loader = loader
        self.split = split
        self.mean = mean
        self._baselines: Mapping[str, Mapping[str, float]] | None = None

    def __call__(self, generator: nn.Module, sheet: Path) -> tuple[Report, Samples]:
        """Score a generator.

        Args:
            generator: The network.
            sheet: Where the picture of the samples goes.

        Returns:
            The scores, and the fixed samples.
        """
        config = self.plan.config.evaluate
        with inference(generator, batch_norm=config.batch_norm, dropout=config.dropout):
            metrics, higher = self._score(lambda source: self._generate(generator, source))
            samples = self._samples(generator, sheet)
        count = len(self.loader.stored)
        protocol = {
            "split": self.split,
            "count": count,
            "size": f"{self.images.height}x{self.images.width}",
            "batch_norm": config.batch_norm,
            "dropout": config.dropout,
        }
        report = Report(self.split, count, metrics, self.baselines(), higher, protocol)
        save_evaluation(report, samples)
        return report, samples

    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """Score the source itself, where it has the target's form, and the mean of the training targets; once."""
        if self._baselines is None:
            self._baselines = {}
            source, target = self.images.source, self.images.target
            wanted: dict[str, Predict] = {}
            if source.kind == target.kind and source.channels in (1, target.channels):
                wanted["source"] = lambda image: image.expand(-1, target.channels, -1, -1)
            if self.mean is not None:
                mean = self.mean
                wanted["mean"] = lambda image: mean.expand(len(image), -1, -1, -1)
            if self.plan.config.evaluate.baselines:
                self._baselines = {name: self._score(predict)[0] for name, predict in wanted.items()}
        return self._baselines

    def _generate(self, generator: nn.Module, source: Tensor) -> Tensor:
        """Run the generator; with statistics of the images at hand each image is a batch of its own."""
        with self.loader.place.precision.autocast():
            if self.plan.config.evaluate.batch_norm == "batch":
                return torch.cat([generator(image) for image in torch.split(source, 1)]).float()
            fake: Tensor = generator(source)
            return fake.float()

    @torch.no_grad()
    def _score(self, predict: Predict) -> tuple[dict[str, float], dict[str, bool | None]]:
        metrics = {
            name: part.build(self.images).to(self.loader.place.device) for name, part in self.plan.metrics.items()
        }
        for batch in self.loader.epoch():
            fake, target = predict(batch.source).contiguous(), batch.target.contiguous()  # some metrics flatten by view
            for metric in metrics.values():
                metric.update(fake, target)
        values = {name: float(metric.compute()) for name, metric in metrics.items()}
        return values, {name: metric.higher_is_better for name, metric in metrics.items()}

    def _samples(self, generator: nn.Module, sheet: Path) -> Samples:
        """Show a few pairs, the same in every evaluation."""
        rows = []
        for name, (source, target) in self.loader.samples(self.plan.config.evaluate.samples):
            fake = self._generate(generator, source)[0]
            specs = (self.images.source, self.images.target, self.images.target)
            shown = zip((source[0], fake, target[0]), specs, strict=True)
            rows.append(Row(name, [to_picture(image, spec) for image, spec in shown]))
        draw_sheet(rows, ("source", "fake", "target"), sheet)
        return Samples(tuple(row.name for row in rows), tuple(side_by_side(row.pictures) for row in rows), sheet)


def mean_target(loader: Loader) -> Tensor:
    """Return the per-pixel mean of a split's first targets, at the size of the run's images.

    Shape: (1, C_target, H, W) in [-1, 1].
    """
    total: Tensor | None = None
    count = 0
    for batch in loader.epoch():
        added = batch.target.sum(0, keepdim=True)
        total = added if total is None else total + added
        count += len(batch.target)
        if count >= _MOST_FOR_MEAN:
            break
    assert total is not None
    size = (loader.images.height, loader.images.width)
    return functional.interpolate(total / count, size, mode="bilinear", antialias=True)
