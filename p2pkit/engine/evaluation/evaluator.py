"""Score a generator on held-out pairs, beside predictions that need no learning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn

from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.loader import Batch, Loader
from p2pkit.engine.device.precision import full_fp32
from p2pkit.engine.distributed.ddp import broadcast_buffers
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.batch_norm_data import BatchNormCalibrationSet
from p2pkit.engine.evaluation.inference_mode import InferenceMode, Statistics, recalibrate, run_in_mode
from p2pkit.engine.evaluation.metrics import Predict, metric_inputs, needs_several_fakes, own_protocol, score, scored
from p2pkit.engine.evaluation.sample_sheet import Row, draw_sheet, side_by_side
from p2pkit.engine.storage.evaluations import save_evaluation
from p2pkit.errors import StorageError
from p2pkit.extras.calling import generated, taken
from p2pkit.extras.values import draw
from p2pkit.images.convert import resample, to_picture
from p2pkit.types import PairMetric, Report, Samples, optional
from p2pkit.untyped import Json, Made

_MOST_FOR_MEAN = 4096
"""Targets that make up the mean: more would change nothing but the time before the first step."""
_KNOWN_BY = 8
"""Pairs by which a protocol tells data from other data."""


class EvaluationLeft(Exception):
    """A signal came, and what an evaluation had so far was dropped.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"left for signal {number}")
        self.signal = number


class Evaluator:
    """Scores generators on one split, always in the same way; each process has its share, and metrics merge them.

    Args:
        checked: The run's plan and data; its split is the one that is scored.
        loader: The split's batches.
        mean: The mean of the training targets, for the baseline.
        mode: How the generator is run; by default as the plan says.
        calibration: Training sources, for the mode that gathers statistics anew.
        unwritten: Hears of samples that can't be written, where that is no error.
    """

    def __init__(
        self,
        checked: ValidatedRun,
        loader: Loader,
        mean: Tensor | None = None,
        mode: InferenceMode | None = None,
        calibration: BatchNormCalibrationSet | None = None,
        unwritten: Callable[[StorageError], None] | None = None,
    ) -> None:
        self.checked = checked
        self.plan = checked.plan
        self.images = checked.spec
        self.loader = loader
        self.mean = mean
        self.config = checked.plan.config.evaluate
        self.mode = mode or InferenceMode(self.config.batch_norm, self.config.dropout)
        self.calibration = calibration
        self.unwritten = unwritten
        self.gathered: Statistics | None = None  # what the last evaluation used
        self._signal: Callable[[], int | None] = lambda: None

    @full_fp32()
    def __call__(
        self, generator: nn.Module, sheet: Path, signal: Callable[[], int | None] = lambda: None
    ) -> tuple[Report, Samples]:
        """Score a generator.

        Args:
            generator: The network.
            sheet: Where the picture of the samples goes.
            signal: Asked before each batch, by all processes at once, whether to leave: what it returns is the signal.

        Returns:
            The scores, and the fixed samples, which only the main process draws.

        Raises:
            EvaluationLeft: A signal came.
        """
        self._signal = signal
        broadcast_buffers(generator)
        self.gathered = statistics = self.statistics(generator)
        values: dict[str, float] = {}
        for mode, metrics in self._by_mode:
            with run_in_mode(generator, mode, statistics):
                predict = self._predict(generator, again=mode != self.mode)
                values |= score(metrics, self._batches(), predict, self.images.mask)
        with run_in_mode(generator, self.mode, statistics):
            rows = self._rows(generator) if world().main else []
        report = self._report(values)
        names, pictures = tuple(row.name for row in rows), tuple(side_by_side(row.pictures[:3]) for row in rows)
        samples = Samples(names, pictures, sheet)
        if world().main:
            self._save(rows, report, samples)
        return report, samples

    def _save(self, rows: Sequence[Row], report: Report, samples: Samples) -> None:
        try:
            draw_sheet(rows, self._columns(len(rows[0].pictures)), samples.sheet)
            save_evaluation(report, samples)
        except StorageError as error:
            if self.unwritten is None:
                raise
            self.unwritten(error)

    def _columns(self, count: int) -> list[str]:
        """Name the columns of the sheet: fakes by other noise stand between the target and further images."""
        further = list(self.images.images)[2:]
        others = [f"fake {number + 2}" for number in range(count - 3 - len(further))]
        return ["source", "fake", "target", *others, *further]

    @full_fp32()
    def statistics(self, generator: nn.Module) -> Statistics | None:
        """Gather batch norm's statistics anew, where the mode asks for it."""
        if self.mode.batch_norm != "recalibrated" or self.calibration is None:
            return None
        return recalibrate(generator, self.calibration, self.mode.dropout)

    def _report(self, values: Mapping[str, float]) -> Report:
        """Lay out values, of which a metric may have several, with what is said of each metric."""
        metrics = self._metrics
        whose = {value: value if value in metrics else value.partition("/")[0] for value in values}
        own = {name: self._own_protocol(mode, name) for mode, group in self._by_mode for name in group}
        higher = {name: optional.higher_is_better(metric) for name, metric in metrics.items()}
        warnings = [f"{name}: {said}" for name, metric in metrics.items() for said in self._warnings(metric)]
        return Report(
            self.checked.split,
            len(self.loader.stored),
            dict(values),
            self.baselines,
            {value: higher[name] for value, name in whose.items()},
            self._protocol,
            {value: own[name] for value, name in whose.items()},
            tuple(warnings),
            self.ground_truth,
        )

    def _warnings(self, metric: Made) -> list[str]:
        """Return what a metric has to say of its values, having seen the pairs of all processes."""
        with metric.sync_context(should_sync=self.loader.parts > 1):
            return list(optional.warnings(metric)())

    def _own_protocol(self, mode: InferenceMode, name: str) -> dict[str, Json]:
        forced = {"dropout": mode.dropout} if mode != self.mode else {}
        return {**forced, **own_protocol(self.plan.metrics[name], self._metrics[name])}

    @cached_property
    def _protocol(self) -> dict[str, Json]:
        """What all metrics' protocols have in common; the data are known by a few of the pairs."""
        scored = hashlib.sha256()
        for name, images in self.loader.stored.samples(_KNOWN_BY):
            scored.update(name.encode())
            for image in images:
                scored.update(image.numpy().tobytes())
        gathered = self.calibration.protocol() if self.calibration and self.mode.batch_norm == "recalibrated" else {}
        return {
            "dataset": self.checked.data.name,
            "split": self.checked.split,
            "count": len(self.loader.stored),
            "pairs": scored.hexdigest()[:8],
            "size": "x".join(map(str, self.images.size)),
            "resize": optional.resampling(self.checked.dataset),
            **asdict(self.mode),
            **gathered,
        }

    @cached_property
    def _metrics(self) -> dict[str, PairMetric]:
        device = self.loader.place.device
        metrics = {name: part.build(scored(self.images)).to(device) for name, part in self.plan.metrics.items()}
        for metric in metrics.values():
            metric.sync_on_compute = self.loader.parts > 1
        return metrics

    @property
    def _by_mode(self) -> list[tuple[InferenceMode, dict[str, PairMetric]]]:
        """The metrics by the mode they need: several fakes of a source differ only where dropout is on."""
        metrics = self._metrics.items()
        plain = {name: metric for name, metric in metrics if not needs_several_fakes(metric)}
        noisy = {name: metric for name, metric in metrics if needs_several_fakes(metric)}
        return [(self.mode, plain), (replace(self.mode, dropout="on"), noisy)]

    def _batches(self) -> Iterator[Batch]:
        for number, batch in enumerate(self.loader.epoch()):
            if number < self.loader.everywhere and (signal := self._signal()) is not None:
                raise EvaluationLeft(signal)
            yield batch

    @cached_property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """Scores of the source itself, where it has the target's form, and of the mean of the training targets."""
        source, target = self.images.source, self.images.target
        simple: dict[str, Predict] = {}
        if source.kind == target.kind and source.channels in (1, target.channels):
            simple["source"] = lambda image, **_: image.expand(len(image), target.channels, *image.shape[2:])
        if self.mean is not None:
            mean = self.mean
            simple["mean"] = lambda image, **_: mean.expand(len(image), *mean.shape[1:])
        metrics = {name: metric for name, metric in self._metrics.items() if not needs_several_fakes(metric)}
        with torch.no_grad():
            offered = simple.items() if self.config.baselines else ()
            return {name: score(metrics, self._batches(), predict, self.images.mask) for name, predict in offered}

    @cached_property
    def ground_truth(self) -> Mapping[str, float]:
        """Scores of the targets in the place of fakes; a metric that knows the target would say nothing new."""
        metrics = {
            n: metric for n, metric in self._metrics.items() if not {"target", "fakes"} & {*metric_inputs(metric)}
        }
        targets = (batch.target for batch in self.loader.epoch())
        with torch.no_grad():
            return score(metrics, self._batches(), lambda *_, **__: next(targets), self.images.mask)

    def _predict(self, generator: nn.Module, *, again: bool) -> Predict:
        """Return what makes fakes; where they are to differ each time, by noise that is drawn anew."""
        if not (again and self.images.drawn):
            return partial(self._generate, generator)
        calls = count()

        def predict(source: Tensor, **extras: Tensor) -> Tensor:
            places = [f"{self.loader.part} {next(calls)}" for _ in source]
            drawn = {name: noise.to(source.device) for name, noise in draw(self.images.drawn, places).items()}
            return self._generate(generator, source, **extras | drawn)

        return predict

    def _generate(self, generator: nn.Module, source: Tensor, **extras: Tensor) -> Tensor:
        """Run the generator, in fp32 whatever it was trained in, so that a score is the same on every device.

        With statistics of the images at hand each image is a batch of its own.
        """
        if self.mode.batch_norm == "batch":
            alone = ({name: each[i : i + 1] for name, each in extras.items()} for i in range(len(source)))
            return torch.cat([generated(generator, *each) for each in zip(torch.split(source, 1), alone, strict=True)])
        return generated(generator, source, extras)

    def _rows(self, generator: nn.Module) -> list[Row]:
        """Show a few pairs, the same in every evaluation."""
        rows = []
        another = self._predict(generator, again=True)
        for name, batch in self.loader.samples(self.config.samples):
            images = {"source": batch.source, "target": batch.target, **batch.extras}
            shown = {key: to_picture(images[key][0], spec) for key, spec in self.images.images.items()}
            asked: list[Predict] = [partial(self._generate, generator), *[another] * self._others(generator)]
            fakes = [to_picture(ask(batch.source, **batch.extras)[0], self.images.target) for ask in asked]
            source, target = shown.pop("source"), shown.pop("target")
            rows.append(Row(name, [source, fakes[0], target, *fakes[1:], *shown.values()]))
        return rows

    def _others(self, generator: nn.Module) -> int:
        """How many more fakes of each source are shown, where noise makes others."""
        return self.config.fakes - 1 if self.images.drawn.keys() & taken(generator).keys() else 0


def mean_target(loader: Loader) -> Tensor:
    """Return the per-pixel mean of a split's first targets, at the size of the run's images.

    Shape: (1, C_target, H, W) or (1, C_target, D, H, W), in [-1, 1].
    """
    sums: list[Tensor] = []
    count = 0
    for batch in loader.epoch():
        sums = [sum(sums, start=batch.target.sum(0, keepdim=True))]
        count += len(batch.target)
        if count >= _MOST_FOR_MEAN:
            break
    (total,) = sums
    return resample(total / count, loader.images.size, mode="bilinear")
