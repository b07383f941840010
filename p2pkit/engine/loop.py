"""The training loop: epochs of steps, and what happens between them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pkit.engine.assemble import Assembly, set_learning_rate
from p2pkit.engine.checkpoint import Position, prune, save_checkpoint
from p2pkit.engine.data import Batch, Loader
from p2pkit.engine.evaluate import Evaluator
from p2pkit.engine.guard import guarded
from p2pkit.engine.health import Health
from p2pkit.engine.interrupt import Interrupt
from p2pkit.engine.meter import Meter
from p2pkit.engine.parallel import ask
from p2pkit.engine.processes import processes
from p2pkit.engine.progress import Watcher
from p2pkit.engine.shares import GradientShares
from p2pkit.errors import Problem, TrainingError
from p2pkit.events import Events
from p2pkit.types import Report, Samples


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended.

    Args:
        position: How far it came.
        checkpoint: The last checkpoint.
        report: The last evaluation; absent where it was stopped before any.
        samples: The last evaluation's samples.
        signal: The signal that stopped it, if one did.
    """

    position: Position
    checkpoint: Path
    report: Report | None
    samples: Samples | None
    signal: int | None = None


class Loop:
    """Trains a run from a position to its end.

    Args:
        assembly: Networks and step.
        loader: Training batches.
        evaluator: Scores the generator.
        events: Who wants to know.
        watcher: What the user sees.
        folder: The run's folder.
        config: The resolved config, for checkpoints.
    """

    def __init__(
        self,
        assembly: Assembly,
        loader: Loader,
        evaluator: Evaluator,
        events: Events,
        watcher: Watcher,
        folder: Path,
        config: Mapping[str, Any],
    ) -> None:
        self.assembly = assembly
        self.loader = loader
        self.evaluator = evaluator
        self.events = events
        self.watcher = watcher
        self.folder = folder
        self.config = config
        self.settings = assembly.checked.plan.config
        self.steps_per_epoch = len(loader) // self.settings.engine.accumulate
        self.signal: int | None = None
        self.meter = Meter()
        self.health = Health(self.settings.health, watcher.note)
        self.shares = GradientShares(assembly, loader)
        self.evaluations = 0
        self.latest: dict[str, float] = {}
        self.evaluation: tuple[Report, Samples] | None = None
        self.checkpoint: Path | None = None

    def run(self, position: Position = Position()) -> Outcome:  # noqa: B008  frozen
        """Train to the end, or until a signal asks to leave; either way the state is saved.

        Args:
            position: Where to begin.

        Raises:
            TrainingError: A loss is no longer a finite number.
        """
        position = self._plan(position)
        with Interrupt() as interrupt, guarded(interrupt, self.events.ended):
            if position.step == 0 and self.settings.evaluate.every:
                self._evaluate(0)  # what an untrained generator makes is where every curve and slider begins
            for epoch in range(position.epoch, self.epochs):
                position = self._epoch(epoch, position, interrupt)
                if self.signal is not None:
                    break
                self._between(position)
            self._read(position.step)
            self.signal = ask(lambda: interrupt.signal)()
            if self.signal is None and (self.evaluation is None or self.evaluation_step != position.step):
                self._evaluate(position.step)
            if self.checkpoint is None or self.checkpoint_step != position.step:
                self._save(position)
        assert self.checkpoint is not None
        report, samples = self.evaluation or (None, None)
        return Outcome(position, self.checkpoint, report, samples, self.signal)

    def _plan(self, position: Position) -> Position:
        """Count what is left, in epochs as long as they are now; return the position within them."""
        accumulate = self.settings.engine.accumulate
        if position.batches >= self.steps_per_epoch * accumulate:
            position = Position(position.step, position.epoch + 1, 0)
        done = position.epoch * self.steps_per_epoch + position.batches // accumulate
        left = self.settings.schedule.length * self.steps_per_epoch - done
        self.steps = self.settings.schedule.steps or position.step + max(left, 0)
        self.epochs = math.ceil((done + self.steps - position.step) / self.steps_per_epoch)
        return position

    def _epoch(self, epoch: int, position: Position, interrupt: Interrupt) -> Position:
        accumulate = self.settings.engine.accumulate
        batches = self.loader.epoch(epoch, skip=position.batches)
        for group in _groups(batches, accumulate):
            asked = ask(lambda: interrupt.signal)
            self._set_learning_rates(epoch, position.step)
            scalars = self.assembly.update([(batch.source, batch.target) for batch in group], position.step)
            self.meter.add(scalars, sum(len(batch.source) for batch in group), sum(batch.waited for batch in group))
            position = self._after(position, epoch)
            self.signal = asked()  # before the device is waited for: a process that is gone is found out here
            if position.step % self.settings.engine.log_every == 0:
                self._read(position.step)
            self.watcher.trained(position.step, self.steps, f"{epoch + 1}/{self.epochs}", self.latest)
            if self.signal is not None or position.step >= self.steps:
                break
        return position

    def _after(self, position: Position, epoch: int) -> Position:
        batches = position.batches + self.settings.engine.accumulate
        complete = batches >= self.steps_per_epoch * self.settings.engine.accumulate
        return Position(position.step + 1, epoch + complete, 0 if complete else batches)

    def _set_learning_rates(self, epoch: int, step: int) -> None:
        schedule = self.settings.schedule
        factor = schedule.factor(step if schedule.steps is not None else epoch)
        for name in ("generator", "discriminator"):
            side = getattr(self.assembly.players, name)
            if side is not None:
                rate = getattr(self.settings.optimizers, name).lr * factor
                set_learning_rate(side.optimizer, rate)

    def _between(self, position: Position) -> None:
        begun = time.perf_counter()
        if _due(self.settings.evaluate.every, position.epoch):
            self._evaluate(position.step)
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
        broken = [name for name, value in self.latest.items() if not math.isfinite(value)]
        if broken:
            cause = f"{', '.join(broken)} is no longer a finite number at step {step}"
            remedy = "lower optimizers.*.lr, set engine.clip, or use engine.precision fp32"
            raise TrainingError(Problem("training", cause, f"{remedy}; earlier checkpoints are in {self.folder}"))

    def _evaluate(self, step: int) -> None:
        sheet = self.folder / "samples" / f"step-{step:08d}.png"
        self.evaluation = self.evaluator(self.assembly.evaluated, sheet)
        self.evaluation_step = step
        report, samples = self.evaluation
        found = self.health.evaluated(step, report.split, samples)
        if _due(self.settings.health.gradient_shares, self.evaluations):
            found |= self.shares()
        self.evaluations += 1
        if found:
            self.events.scalars(step, found)
        self.events.evaluated(step, report, samples)

    def _save(self, position: Position) -> None:
        folder = self.folder / "checkpoints"
        self.checkpoint = save_checkpoint(
            folder, self.assembly, position, self.config, self.evaluator.statistics(self.assembly.evaluated)
        )
        self.checkpoint_step = position.step
        if processes().main:
            prune(folder, self.settings.checkpoint.keep)
        self.events.checkpointed(position.step, self.checkpoint)


def _due(every: int, epoch: int) -> bool:
    return every > 0 and epoch % every == 0


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Group batches whose gradients are added up; an incomplete group at an epoch's end is left out."""
    while len(group := list(itertools.islice(batches, size))) == size:
        yield group
