"""The training loop: epochs of steps, and what happens between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.build.optimizer import learning_rate, learning_rate_factor, set_learning_rate
from p2pkit.engine.data.loader import Loader, in_groups
from p2pkit.engine.distributed.collectives import all_reduce_signal_async, on_main_rank
from p2pkit.engine.distributed.signals import GracefulExit, signal_of_any
from p2pkit.engine.evaluation.evaluator import EvaluationLeft, Evaluator
from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, abandon_later, prune, sheet_path, step_of
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.engine.training.best_and_patience import BestCheckpoint, EarlyStopping
from p2pkit.engine.training.checkpointing import save_checkpoint
from p2pkit.engine.training.gan_health import Health
from p2pkit.engine.training.gradient_shares import GradientShares
from p2pkit.engine.training.meter import open_meter
from p2pkit.engine.training.nan_recovery import (
    NotFinite,
    check_scalars,
    check_weights,
    describe_rollback,
    rollback,
    rollback_lr_factor,
)
from p2pkit.engine.training.run_length import count_remaining, next_whole, phase_at
from p2pkit.errors import StorageError
from p2pkit.plugins.events import Events
from p2pkit.progress import ProgressReporter
from p2pkit.types import Report, Samples
from p2pkit.untyped import Json, Plain

OnStep = Callable[["Loop"], None]
OnEvaluated = Callable[[Progress, Report], str | None]
"""Hears of each evaluation; a sentence that it returns ends the training."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training ended.

    Args:
        progress: How far it came.
        checkpoint: The last checkpoint.
        report: The last evaluation; absent where it was stopped before any.
        samples: The last evaluation's samples.
        signal: The signal that stopped it, if one did.
        best: The best checkpoint, where the run keeps one.
        reason: Why it ended, in a sentence.
        images_per_second: How fast it was by the last reading.
        joules_per_image: The energy that it took by the last reading, where that can be measured.
    """

    progress: Progress
    checkpoint: Path
    report: Report | None
    samples: Samples | None
    signal: int | None = None
    best: Path | None = None
    reason: str = ""
    images_per_second: float | None = None
    joules_per_image: float | None = None


@dataclass
class LoopStatus:
    """What the loop knows at a moment, beside the networks and their optimisers.

    Args:
        progress: How far the run has come.
        state: What it remembers; goes into each checkpoint.
        steps: At how many steps it ends.
        epochs: In how many epochs, as long as they are now.
        signal: The signal that asks it to leave.
        latest: The scalars that were read last.
        evaluation: The last evaluation.
        evaluated_at: Its step.
        checkpoint: The last checkpoint.
        owed: Whether a checkpoint that was due could not be written.
        told: The phase that the user was told of last.
        enough: Why to train no further, where `on_evaluated` says so.
    """

    progress: Progress = field(default_factory=Progress)
    state: LoopState = field(default_factory=LoopState)
    steps: int = 0
    epochs: int = 0
    signal: int | None = None
    latest: dict[str, float] = field(default_factory=dict)
    evaluation: tuple[Report, Samples] | None = None
    evaluated_at: int = -1
    checkpoint: Path | None = None
    owed: bool = False
    told: int = 0
    enough: str = ""


class Loop:
    """Trains a run from where it is to its end.

    Args:
        assembly: Networks and step.
        loader: Training batches.
        evaluator: Scores the generator.
        events: Who wants to know.
        reporter: What the user sees.
        folder: The run's folder.
        config: The resolved config, for checkpoints.
        on_step: Called before each step.
        on_evaluated: Called after each evaluation; what it returns is why to train no further.
    """

    def __init__(
        self,
        assembly: Assembly,
        loader: Loader,
        evaluator: Evaluator,
        events: Events,
        reporter: ProgressReporter,
        folder: Path,
        config: Plain,
        on_step: OnStep | None = None,
        on_evaluated: OnEvaluated | None = None,
    ) -> None:
        self.assembly = assembly
        self.data = self.loader = loader
        self.evaluator = evaluator
        self.events = events
        self.reporter = reporter
        self.folder = folder
        self.config = config
        self.on_step = on_step
        self.on_evaluated = on_evaluated
        self.plan = assembly.checked.plan
        self.settings = self.plan.config
        self.meter = open_meter(assembly.place.device, self.settings.tracking.price, reporter.note)
        self.health = Health(self.settings.health, reporter.note)
        self.best = BestCheckpoint(self.settings, folder)
        self.stopping = EarlyStopping(self.settings)
        self.seed = loader.seed
        self.status = LoopStatus()
        self._take_up(assembly)
        self.began_at = 0

    def run(self, progress: Progress, state: LoopState, leave: GracefulExit) -> TrainResult:
        """Train to the end, or until a signal asks to leave; either way the state is saved.

        Args:
            progress: Where to begin.
            state: What an earlier part of the run remembers.
            leave: Hears signals.

        Raises:
            TrainingError: A loss is no longer a finite number.
            StorageError: The last checkpoint can't be written, or any where the config says to stop then.
        """
        self._restore_state(progress, state)
        self.began_at = progress.step
        with leave.deferred():
            # A loss may be no number before the first epoch is over, and then there has to be something to go back to.
            if progress.step == 0 and self.settings.engine.on_nan == "rollback":
                self._save_if_possible()
            elif self.best.kept is not None:
                self.events.checkpointed(step_of(self.best.kept), self.best.kept, best=True)
            while True:
                try:
                    return self._run(leave)
                except NotFinite as error:
                    self._rollback(error)

    def _run(self, leave: GracefulExit) -> TrainResult:
        status = self.status
        self._count_remaining()
        begins = status.progress.batches == 0 and _due(self.settings.evaluate.every, status.progress.epoch)
        if begins and status.state.evaluated != status.progress.step:  # untrained, or stopped just before this one
            self._evaluate(leave)
        while status.signal is None and status.progress.step < status.steps and not self._enough():
            before = status.progress.step
            self._enter_phase()
            self._epoch(leave)
            if status.signal is not None or status.progress.step == before:
                break
            if status.progress.batches == 0 or status.progress.step >= status.steps:
                self._after_epoch(leave)
        status.signal = signal_of_any(leave)
        if status.signal is None:  # else what was measured goes into the checkpoint, and is read when it was due
            self._read()
        if status.signal is None and status.evaluated_at != status.progress.step:
            self._evaluate(leave)
        checkpoint = status.checkpoint
        if checkpoint is None or step_of(checkpoint) != status.progress.step:
            checkpoint = self._save()
        report, samples = status.evaluation or (None, None)
        spent = (status.latest.get(f"speed/{name}") for name in ("images_per_second", "joules_per_image"))
        return TrainResult(
            status.progress, checkpoint, report, samples, status.signal, self.best.kept, self._reason(), *spent
        )

    def _count_remaining(self) -> None:
        status, batches = self.status, len(self.loader)
        status.progress = next_whole(self.plan, status.progress, batches)  # epochs may be shorter than they were
        status.steps, status.epochs = count_remaining(self.plan, status.progress, batches)

    def _enter_phase(self) -> None:
        """Go on with the phase that the next step is of."""
        phase = phase_at(self.plan, self.status.progress)
        if phase.number != self.assembly.phase.number:
            self._take_up(self.assembly.enter(phase))
        if phase.count > 1 and phase.number != self.status.told:
            self.status.told = phase.number
            self.reporter.note(f"step {self.status.progress.step}: {phase}, {phase.describe(self.data.images)}")

    def _take_up(self, assembly: Assembly) -> None:
        """Take steps of this phase from now on."""
        self.assembly = assembly
        self.loader = self.data.sized(assembly.phase.size_of(self.data.images))
        self.steps_per_epoch = len(self.loader) // assembly.batches_per_step
        self.rate = learning_rate_factor(self.plan, self.steps_per_epoch)
        self.shares = GradientShares(assembly, self.loader)

    def _reason(self) -> str:
        step = self.status.progress.step
        if self.status.signal is not None:
            return f"stopped at step {step} by a signal"
        if self.began_at >= self.status.steps:
            reason = f"all {self.status.steps} steps were done before, so nothing was trained"
            self.reporter.outcome(f"{reason}; give the run more: -s schedule.epochs=N, or schedule.steps=N")
            return reason
        if step >= self.status.steps:
            return f"all {self.status.steps} steps are done"
        reason = f"stopped early at step {step}: {self._enough()}"
        self.reporter.outcome(reason)
        return reason

    def _enough(self) -> str:
        """Return why to train no further; empty where there is no reason."""
        return self.status.enough or self.stopping.reason(self.status.state)

    def _restore_state(self, progress: Progress, state: LoopState) -> None:
        self.status.progress, self.status.state = progress, state
        for loader in (self.data, self.loader):  # another order than the one that led astray
            loader.seed = self.seed + 1000 * state.rollbacks
        self._enter_phase()
        self.health.restore(state.health)
        self.meter.restore(state.measured, self.assembly.step.objective.weighted)

    def _rollback(self, error: NotFinite) -> None:
        progress, state = rollback(error, self.folder, self.assembly, self.status.state.rollbacks)
        on_main_rank(lambda: abandon_later(self.folder, progress.step))
        self.events.went_back(progress.step)
        self._restore_state(progress, state)
        # The best checkpoint may be among what was moved aside, and an older one is no longer there.
        self.best = BestCheckpoint(self.settings, self.folder)
        what_next = f"went back to step {progress.step}: {describe_rollback(state.rollbacks)}"
        self.reporter.note(f"{error.problems[0].cause}; {what_next}")
        self.events.scalars(progress.step, {"health/rollbacks": float(state.rollbacks)})

    def _epoch(self, leave: GracefulExit) -> None:
        """Take the steps of the epoch under way, or those that are left of it, as far as the phase goes."""
        status, epoch = self.status, self.status.progress.epoch
        phase = self.assembly.phase
        shown = f"{epoch + 1}/{status.epochs}" + (f", {phase}" if phase.count > 1 else "")
        batches = self.loader.epoch(epoch, skip=status.progress.batches)
        for group in in_groups(batches, self.assembly.batches_per_step):
            # Begun here and read after the step, so that no process waits for the others' answers.
            asked = all_reduce_signal_async(lambda: leave.signal)
            self._set_learning_rates()
            if self.on_step is not None:
                self.on_step(self)
            scalars = self.assembly.update([batch.tensors for batch in group], status.progress.step)
            self.meter.add(scalars, sum(len(batch.source) for batch in group), sum(batch.waited for batch in group))
            self._advance()
            status.signal = asked()  # before the device is waited for: a process that is gone is found out here
            over = phase_at(self.plan, status.progress).number != phase.number
            if over or status.progress.step % self.settings.engine.log_every == 0:  # weights of terms may change
                self._read()
            self.reporter.trained(status.progress.step, status.steps, shown, status.latest)
            if over or status.signal is not None or status.progress.step >= status.steps:
                break
        if status.progress.batches == 0:  # what fills no step has drawn its random numbers, wherever the run is left
            deque(batches, maxlen=0)

    def _advance(self) -> None:
        at = self.status.progress
        after = Progress(at.step + 1, at.epoch, at.batches + self.assembly.batches_per_step)
        self.status.progress = next_whole(self.plan, after, len(self.loader))

    def _set_learning_rates(self) -> None:
        factor = self.rate(self._position()) * rollback_lr_factor(self.status.state.rollbacks)
        for name, player in self.assembly.players.named.items():
            set_learning_rate(player.optimizer, factor * self.assembly.phase.rate(name))

    def _position(self) -> int:
        """Return where in its schedule the run is, in updates, as if all epochs had been as long as they are now."""
        at = self.status.progress
        if self.settings.schedule.unit == "steps":
            return at.step
        return at.epoch * self.steps_per_epoch + at.batches // self.assembly.batches_per_step

    def _after_epoch(self, leave: GracefulExit) -> None:
        epoch = self.status.progress.epoch
        with self.meter.paused():
            if _due(self.settings.evaluate.every, epoch):
                self._evaluate(leave)
            if self.status.signal is None and (self.status.owed or _due(self.settings.checkpoint.every, epoch)):
                self._save_if_possible()

    def _read(self) -> None:
        """Read what was measured; this is where the host waits for the device."""
        if self.meter.empty:
            return
        step, players = self.status.progress.step, self.assembly.players.named
        latest = self.meter.read()
        latest |= {f"train/learning_rate/{name}": learning_rate(player.optimizer) for name, player in players.items()}
        if (phase := self.assembly.phase).count > 1:
            latest["train/phase"] = float(phase.number)
        latest |= self.health.read(step, latest)
        self.status.latest = latest
        self.events.scalars(step, latest)
        check_scalars(step, latest, self.folder)

    def _evaluate(self, leave: GracefulExit) -> None:
        """Evaluate; where a signal comes meanwhile nothing comes of it, and who goes on from here begins with it."""
        status, step = self.status, self.status.progress.step
        check_weights(step, self.assembly, self.folder)
        sheet = sheet_path(self.folder, step)
        try:
            status.evaluation = self.evaluator(self.assembly.evaluated, sheet, lambda: signal_of_any(leave))
        except EvaluationLeft as left:
            status.signal = left.signal
            return
        report, samples = status.evaluation
        status.evaluated_at = step
        self.events.evaluated(step, report, samples)  # scores first: MLflow's page for comparing opens on what is first
        found = self.health.evaluated(step, report.split, samples)
        if _due(self.settings.health.gradient_shares, status.state.evaluations):
            found |= self.shares()
        if found:
            self.events.scalars(step, found)
        # A resumed run may evaluate a step once more, which must not count against patience again.
        if status.state.evaluated != step:
            status.state.evaluations += 1
            status.state.evaluated = step
            self.stopping.count(step, report, status.state)
        if on_main_rank(lambda: self.best.is_best(step, report)):
            with self._unless_told_to_stop():
                self._keep_best()
        if (heard := self.on_evaluated) is not None:
            status.enough = on_main_rank(lambda: heard(status.progress, report)) or ""

    def _save_if_possible(self) -> None:
        self.status.owed = True  # until it is written: then the next epoch tries again
        with self._unless_told_to_stop():
            self._save()

    @contextmanager
    def _unless_told_to_stop(self) -> Iterator[None]:
        """Context in which a checkpoint that can't be written does not end the run; all processes agree on that."""
        try:
            yield
        except StorageError as error:
            if self.settings.checkpoint.on_error == "stop":
                raise
            self.reporter.warn(f"{error.problems[0]}; the training goes on, and tries again after the epoch")

    def _save(self) -> Path:
        step = self.status.progress.step
        check_weights(step, self.assembly, self.folder)
        folder = self.folder / CHECKPOINTS
        path = self.status.checkpoint = self._write(folder)
        self.status.owed = False
        on_main_rank(lambda: prune(folder, self.settings.checkpoint.keep))
        self.events.checkpointed(step, path)
        return path

    def _keep_best(self) -> None:
        path = self._write(self.folder / BEST, **{BEST: self.best.note()})
        self.best.keep(path)
        self.events.checkpointed(self.status.progress.step, path, best=True)

    def _write(self, folder: Path, **notes: Json) -> Path:
        statistics = self.evaluator.statistics(self.assembly.evaluated)
        self.status.state.health = self.health.state()
        self.status.state.measured = self.meter.state()
        notes["memory"] = asdict(self.status.state)
        return save_checkpoint(folder, self.assembly, self.status.progress, self.config, statistics, notes)


def _due(every: int, epoch: int) -> bool:
    return every > 0 and epoch % every == 0
