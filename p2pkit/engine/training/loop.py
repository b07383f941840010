"""The training loop: epochs of steps, and what happens between them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.build.optimizer import set_learning_rate
from p2pkit.engine.data.loader import Batch, Loader
from p2pkit.engine.distributed.collectives import all_reduce_signal_async, on_main_rank
from p2pkit.engine.distributed.signals import GracefulExit, signal_watchdog
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.evaluator import Evaluator
from p2pkit.engine.storage.layout import BEST, abandon_later_checkpoints, prune
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.engine.training.best_and_patience import BestCheckpoint
from p2pkit.engine.training.checkpointing import save_checkpoint
from p2pkit.engine.training.gan_health import Health
from p2pkit.engine.training.gradient_shares import GradientShares
from p2pkit.engine.training.meter import Meter
from p2pkit.engine.training.nan_recovery import (
    NotFinite,
    check_scalars,
    check_weights,
    describe_rollback,
    rollback,
    rollback_lr_factor,
)
from p2pkit.plugins.events import Events
from p2pkit.progress import ProgressReporter
from p2pkit.types import Report, Samples


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training ended.

    Args:
        position: How far it came.
        checkpoint: The last checkpoint.
        report: The last evaluation; absent where it was stopped before any.
        samples: The last evaluation's samples.
        signal: The signal that stopped it, if one did.
        best: The best checkpoint, where the run keeps one.
        reason: Why it ended, in a sentence.
        images_per_second: How fast it was by the last reading.
    """

    position: Progress
    checkpoint: Path
    report: Report | None
    samples: Samples | None
    signal: int | None = None
    best: Path | None = None
    reason: str = ""
    images_per_second: float | None = None


class Loop:
    """Trains a run from a position to its end.

    Args:
        assembly: Networks and step.
        loader: Training batches.
        evaluator: Scores the generator.
        events: Who wants to know.
        reporter: What the user sees.
        folder: The run's folder.
        config: The resolved config, for checkpoints.
    """

    def __init__(
        self,
        assembly: Assembly,
        loader: Loader,
        evaluator: Evaluator,
        events: Events,
        reporter: ProgressReporter,
        folder: Path,
        config: Mapping[str, Any],
    ) -> None:
        self.assembly = assembly
        self.loader = loader
        self.evaluator = evaluator
        self.events = events
        self.reporter = reporter
        self.folder = folder
        self.config = config
        self.settings = assembly.checked.plan.config
        self.steps_per_epoch = len(loader) // self.settings.engine.accumulate
        self.signal: int | None = None
        self.meter = Meter()
        self.health = Health(self.settings.health, reporter.note)
        self.shares = GradientShares(assembly, loader)
        self.selection = BestCheckpoint(self.settings, folder)
        self.memory = LoopState()
        self.seed = loader.seed
        self.latest: dict[str, float] = {}
        self.evaluation: tuple[Report, Samples] | None = None
        self.checkpoint: Path | None = None

    def run(self, position: Progress = Progress(), memory: LoopState | None = None) -> TrainResult:  # noqa: B008  frozen
        """Train to the end, or until a signal asks to leave; either way the state is saved.

        Args:
            position: Where to begin.
            memory: What an earlier part of the run remembers.

        Raises:
            TrainingError: A loss is no longer a finite number.
        """
        self._remember(memory or LoopState())
        with GracefulExit() as interrupt, signal_watchdog(interrupt, self.events.ended):
            if position.step == 0 and self.settings.engine.on_nan == "rollback":
                self._save(position)
            elif self.selection.kept is not None:
                self.events.checkpointed(_step_of(self.selection.kept), self.selection.kept, best=True)
            while True:
                try:
                    return self._run(position, interrupt)
                except NotFinite as error:
                    position = self._back(error)

    def _run(self, position: Progress, interrupt: GracefulExit) -> TrainResult:
        position = self._plan(position)
        begins = position.batches == 0 and _due(self.settings.evaluate.every, position.epoch)
        if begins and self.memory.evaluated != position.step:  # untrained, or stopped just before this evaluation
            self._evaluate(position)
        for epoch in range(position.epoch, self.epochs):
            if self.selection.over(self.memory):
                break
            position = self._epoch(epoch, position, interrupt)
            if self.signal is not None:
                break
            self._between(position)
        self._read(position.step)
        self.signal = all_reduce_signal_async(lambda: interrupt.signal)()
        if self.signal is None and (self.evaluation is None or self.evaluation_step != position.step):
            self._evaluate(position)
        if self.checkpoint is None or self.checkpoint_step != position.step:
            self._save(position)
        assert self.checkpoint is not None
        report, samples = self.evaluation or (None, None)
        reason = self._reason(position)
        speed = self.latest.get("speed/images_per_second")
        return TrainResult(position, self.checkpoint, report, samples, self.signal, self.selection.kept, reason, speed)

    def _plan(self, position: Progress) -> Progress:
        """Count what is left, in epochs as long as they are now; return the position within them."""
        accumulate = self.settings.engine.accumulate
        if position.batches >= self.steps_per_epoch * accumulate:
            position = Progress(position.step, position.epoch + 1, 0)
        done = position.epoch * self.steps_per_epoch + position.batches // accumulate
        left = self.settings.schedule.length * self.steps_per_epoch - done
        self.steps = self.settings.schedule.steps or position.step + max(left, 0)
        self.epochs = math.ceil((done + self.steps - position.step) / self.steps_per_epoch)
        return position

    def _reason(self, position: Progress) -> str:
        if self.signal is not None:
            return f"stopped at step {position.step} by a signal"
        if position.step >= self.steps:
            return f"all {self.steps} steps are done"
        reason = f"stopped early at step {position.step}: {self.selection.over(self.memory)}"
        self.reporter.note(reason)
        return reason

    def _remember(self, memory: LoopState) -> None:
        self.memory = memory
        self.loader.seed = self.seed + 1000 * memory.rollbacks  # another order than the one that led astray

    def _back(self, error: NotFinite) -> Progress:
        position, memory = rollback(error, self.folder, self.assembly, self.memory.rollbacks)
        self._remember(memory)
        self.meter = Meter()
        self.reporter.note(
            f"{error.problems[0].cause}; went back to step {position.step}: {describe_rollback(memory.rollbacks)}"
        )
        self.events.scalars(position.step, {"health/rollbacks": float(memory.rollbacks)})
        return position

    def _epoch(self, epoch: int, position: Progress, interrupt: GracefulExit) -> Progress:
        accumulate = self.settings.engine.accumulate
        batches = self.loader.epoch(epoch, skip=position.batches)
        for group in _groups(batches, accumulate):
            asked = all_reduce_signal_async(lambda: interrupt.signal)
            self._set_learning_rates(epoch, position.step)
            scalars = self.assembly.update([(batch.source, batch.target) for batch in group], position.step)
            self.meter.add(scalars, sum(len(batch.source) for batch in group), sum(batch.waited for batch in group))
            position = self._after(position, epoch)
            self.signal = asked()  # before the device is waited for: a process that is gone is found out here
            if position.step % self.settings.engine.log_every == 0:
                self._read(position.step)
            self.reporter.trained(position.step, self.steps, f"{epoch + 1}/{self.epochs}", self.latest)
            if self.signal is not None or position.step >= self.steps:
                break
        return position

    def _after(self, position: Progress, epoch: int) -> Progress:
        batches = position.batches + self.settings.engine.accumulate
        complete = batches >= self.steps_per_epoch * self.settings.engine.accumulate
        return Progress(position.step + 1, epoch + complete, 0 if complete else batches)

    def _set_learning_rates(self, epoch: int, step: int) -> None:
        schedule = self.settings.schedule
        factor = schedule.factor(step if schedule.steps is not None else epoch) * rollback_lr_factor(
            self.memory.rollbacks
        )
        for name in ("generator", "discriminator"):
            side = getattr(self.assembly.players, name)
            if side is not None:
                rate = getattr(self.settings.optimizers, name).lr * factor
                set_learning_rate(side.optimizer, rate)

    def _between(self, position: Progress) -> None:
        begun = time.perf_counter()
        if _due(self.settings.evaluate.every, position.epoch):
            self._evaluate(position)
        if _due(self.settings.checkpoint.every, position.epoch):
            self._save(position)
        self.meter.pause(time.perf_counter() - begun)

    def _read(self, step: int) -> None:
        """Read what was measured; this is where the host waits for the device."""
        if not self.meter.sums:
            return
        self.latest = self.meter.read()
        for name in ("generator", "discriminator"):
            side = getattr(self.assembly.players, name)
            if side is not None:
                self.latest[f"train/learning_rate/{name}"] = float(side.optimizer.param_groups[0]["lr"])
        self.latest |= self.health.read(step, self.latest)
        self.events.scalars(step, self.latest)
        check_scalars(step, self.latest, self.folder)

    def _evaluate(self, position: Progress) -> None:
        step = position.step
        check_weights(step, self.assembly, self.folder)
        sheet = self.folder / "samples" / f"step-{step:08d}.png"
        self.evaluation = self.evaluator(self.assembly.evaluated, sheet)
        self.evaluation_step = step
        report, samples = self.evaluation
        self.events.evaluated(step, report, samples)  # scores first: MLflow's page for comparing opens on what is first
        found = self.health.evaluated(step, report.split, samples)
        if _due(self.settings.health.gradient_shares, self.memory.evaluations):
            found |= self.shares()
        if found:
            self.events.scalars(step, found)
        if self.memory.evaluated != step:
            self.memory.evaluations += 1
            self.memory.evaluated = step
            self.selection.wait(step, report, self.memory)
        if on_main_rank(lambda: self.selection.is_best(step, report)):
            self._keep_best(position)

    def _save(self, position: Progress) -> None:
        check_weights(position.step, self.assembly, self.folder)
        folder = self.folder / "checkpoints"
        self.checkpoint = self._write(folder, position)
        self.checkpoint_step = position.step
        if world().main:
            abandon_later_checkpoints(self.folder, position.step)
            prune(folder, self.settings.checkpoint.keep)
        self.events.checkpointed(position.step, self.checkpoint)

    def _keep_best(self, position: Progress) -> None:
        path = self._write(self.folder / BEST, position, **{BEST: self.selection.note()})
        self.selection.keep(path)
        self.events.checkpointed(position.step, path, best=True)

    def _write(self, folder: Path, position: Progress, **notes: Any) -> Path:
        statistics = self.evaluator.statistics(self.assembly.evaluated)
        notes["memory"] = asdict(self.memory)
        return save_checkpoint(folder, self.assembly, position, self.config, statistics, notes)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _due(every: int, epoch: int) -> bool:
    return every > 0 and epoch % every == 0


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Group batches whose gradients are added up; an incomplete group at an epoch's end is left out."""
    while len(group := list(itertools.islice(batches, size))) == size:
        yield group
