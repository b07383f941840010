"""A whole run, training or evaluation: ties data, networks, loop and trackers, and ends the run whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal, TypeVar

from p2pkit.engine.build.autotune import build_tuned
from p2pkit.engine.build.init_from import load_initial
from p2pkit.engine.build.optimizer import unlearned_losses
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.splits import Splits
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.distributed.collectives import raise_on_all_ranks
from p2pkit.engine.distributed.failure import propagate_failure
from p2pkit.engine.distributed.signals import GracefulExit, signal_watchdog
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.batch_norm_data import BatchNormCalibrationSet
from p2pkit.engine.evaluation.evaluator import Evaluator, mean_target
from p2pkit.engine.storage.checkpoint import load_generator, save_statistics, write_config
from p2pkit.engine.storage.layout import ABANDONED, abandon_later, sheet_path, tidy
from p2pkit.engine.storage.lock import run_lock
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.engine.storage.mirror import KEY, Mirror
from p2pkit.engine.storage.state import described, read_state
from p2pkit.engine.training.checkpointing import load_checkpoint
from p2pkit.engine.training.component_errors import attribute_errors
from p2pkit.engine.training.loop import Loop, OnEvaluated, OnStep, TrainResult
from p2pkit.engine.training.run_record import dataset_facts, versions
from p2pkit.errors import Stopped, StorageError
from p2pkit.plugins.events import Events
from p2pkit.plugins.loading import Plugins
from p2pkit.plugins.one_file import bring_along
from p2pkit.progress import ProgressReporter, Silent
from p2pkit.types import Report, Run, Samples
from p2pkit.untyped import Plain

Result = TypeVar("Result")


class RunSession:
    """What training and evaluating have in common.

    Among several processes the main one speaks: to the user, to plugins, and to the disk.

    Args:
        checked: The plan and its data.
        plugins: The loaded plugins, who hear of the run.
        folder: The run's folder.
        reporter: What the user sees.
        strict: Whether a plugin's failure ends the run.
    """

    def __init__(
        self, checked: ValidatedRun, plugins: Plugins, folder: Path, reporter: ProgressReporter, *, strict: bool = False
    ) -> None:
        self.checked = checked
        self.plugins = plugins
        self.folder = folder
        self.reporter = reporter if world().main else Silent()
        self.strict = strict
        self.config = checked.plan.resolved()
        self.splits = Splits(checked, self.reporter)
        self.events: Events | None = None

    def train(
        self, resume: Path | None = None, on_step: OnStep | None = None, on_evaluated: OnEvaluated | None = None
    ) -> TrainResult:
        """Train, from the beginning or from a checkpoint.

        Args:
            resume: The checkpoint to go on from.
            on_step: Called before each step.
            on_evaluated: Called after each evaluation; a sentence that it returns ends the training.

        Raises:
            TrainingError: A component failed, or a loss is no longer a finite number.
        """
        lock = run_lock(self.folder) if world().main else nullcontext()
        with self._guard() as leave, lock:
            return self._train(resume, leave, on_step, on_evaluated)

    @contextmanager
    def _guard(self) -> Iterator[GracefulExit]:
        """Context of the whole of a run: what ends it is told by name, be it a component or a signal."""
        blame = attribute_errors(self.checked.plan, self.folder)
        with blame, keep_freed_memory(), GracefulExit() as leave, signal_watchdog(leave, self._ended):
            yield leave

    def _ended(self, error: BaseException) -> None:
        if self.events is not None:
            self.events.ended(error)

    def _train(
        self, resume: Path | None, leave: GracefulExit, on_step: OnStep | None, on_evaluated: OnEvaluated | None
    ) -> TrainResult:
        engine = self.checked.plan.config.engine
        self.splits.read("train", self.checked.split)
        found = raise_on_all_ranks(lambda: read_state(resume).get("settled", {})) if resume else None
        assembly = build_tuned(self.checked, self._steps(), found=found, note=self.reporter.note)
        for name in unlearned_losses(assembly.step.objective.terms):
            why = "its plugin is written for plugin API 1, in which losses don't learn"
            remedy = "it should freeze them, or state P2PKIT_PLUGIN_API = 2"
            self.reporter.warn(f"the parameters of losses.{name} stay as they are, since {why}: {remedy}")
        progress, state, went_back = Progress(), LoopState(), False
        if resume is not None:
            progress = raise_on_all_ranks(lambda: load_checkpoint(resume, assembly))
            state = LoopState.of(read_state(resume))
            went_back = raise_on_all_ranks(lambda: self._go_back_to(progress.step))
        else:
            raise_on_all_ranks(lambda: load_initial(assembly, self.reporter.note))
        if world().main:
            write_config(self.folder, self.config)
            bring_along(self.plugins.files, [self.config, described(self.checked.spec)], self.folder)
        run = self._record("training", assembly.facts(), resumed=resume is not None)

        def act(events: Events) -> TrainResult:
            if went_back:
                events.went_back(progress.step)
            own = {"augmentations": assembly.augmentations, "shuffle": True}
            loader = self.splits.loader("train", assembly.place, engine.batch, among=world(), again=True, **own)
            goes_on = self.checked.plan.config.checkpoint.on_error == "continue"
            evaluator = self._evaluator(assembly.place, self._unwritten if goes_on else None)
            told = (events, self.reporter, self.folder, self.config, on_step, on_evaluated)
            return Loop(assembly, loader, evaluator, *told).run(progress, state, leave)

        return self._tracked(run, act)

    def _go_back_to(self, step: int) -> bool:
        """Leave behind what the run made after the checkpoint that it goes on from; tell whether there was anything."""
        if not world().main:
            return False
        tidy(self.folder)
        moved = abandon_later(self.folder, step)
        if moved:
            what = f"{len(moved)} files and folders of later steps lie in {self.folder / ABANDONED}"
            self.reporter.note(f"the run goes on from step {step}; {what}")
        return bool(moved)

    def _steps(self) -> int:
        schedule, engine = self.checked.plan.config.schedule, self.checked.plan.config.engine
        steps_per_epoch = self.splits.counts["train"] // (engine.batch * engine.accumulate)
        return schedule.steps or schedule.length * steps_per_epoch

    def evaluate(self, checkpoint: Path) -> tuple[Report, Samples]:
        """Score a checkpoint's generator.

        Raises:
            TrainingError: A component failed.
        """
        with self._guard():
            return self._evaluate(checkpoint)

    def _evaluate(self, checkpoint: Path) -> tuple[Report, Samples]:
        self.splits.read(*dict.fromkeys((*self._splits_beside(), self.checked.split)))
        generator = self.checked.generator.build(self.checked.spec)
        place = choose_placement(self.checked.plan.config.engine, generator)
        raise_on_all_ranks(lambda: load_generator(checkpoint, generator))
        place.put(generator)
        step = read_state(checkpoint)["position"]["step"]
        run = self._record("evaluation", place.facts(), resumed=False)

        def act(events: Events) -> tuple[Report, Samples]:
            evaluator = self._evaluator(place)
            report, samples = evaluator(generator, sheet_path(self.folder, step, self.checked.split))
            if evaluator.gathered is not None and world().main:
                save_statistics(evaluator.gathered, self.folder)
            events.evaluated(step, report, samples)
            return report, samples

        return self._tracked(run, act)

    def _tracked(self, run: Run, act: Callable[[Events], Result]) -> Result:
        """Do the work between a run's start and its end, which trackers hear of in any case."""
        events = self.events = Events(
            *(self.plugins, run, self.reporter.warn, self.reporter.outcome),
            strict=self.strict,
            trackers={**self.checked.plan.makers, **self._mirror(run)},
        )
        if not world().main:
            events.listening.clear()
        try:
            raise_on_all_ranks(events.started)
            with propagate_failure():
                result = act(events)
            self.reporter.close()
            trained = result if isinstance(result, TrainResult) else None
            stopped = Stopped(trained.signal) if trained and trained.signal is not None else None
            events.ended(stopped, trained.reason if trained else "")
        except BaseException as error:
            self.reporter.close()
            events.ended(error)
            raise
        return result

    def _mirror(self, run: Run) -> dict[str, Callable[[Run], object]]:
        """Return what sends checkpoints elsewhere, which hears of the run as trackers do."""
        address = self.checked.plan.config.checkpoint.mirror
        if address is None or run.kind != "training":
            return {}
        return {KEY: lambda run: Mirror(run.folder, address)}

    def _splits_beside(self) -> tuple[str, ...]:
        """The training split, where the mean of its targets or its statistics are wanted."""
        evaluate = self.checked.plan.config.evaluate
        wanted = evaluate.baselines or evaluate.batch_norm == "recalibrated"
        return ("train",) if wanted and "train" in self.checked.dataset.splits else ()

    def _unwritten(self, error: StorageError) -> None:
        self.reporter.warn(f"{error.problems[0]}; the training goes on without it")

    def _evaluator(self, place: Placement, unwritten: Callable[[StorageError], None] | None = None) -> Evaluator:
        evaluate, split = self.checked.plan.config.evaluate, self.checked.split
        train = self.splits.sources.get("train")
        mean, calibration = None, None
        if train:
            calibration = BatchNormCalibrationSet(train, self.checked.spec, evaluate.batch, place)
            mean = mean_target(self.splits.loader("train", place, evaluate.batch)) if evaluate.baselines else None
        enough = self.splits.counts[split] >= world().count  # no process may be without a pair
        loader = self.splits.loader(split, place, evaluate.batch, among=world() if enough else None)
        return Evaluator(self.checked, loader, mean, calibration=calibration, unwritten=unwritten)

    def _record(self, kind: Literal["training", "evaluation"], facts: Plain, *, resumed: bool) -> Run:
        return Run(
            name=self.folder.name,
            kind=kind,
            folder=self.folder,
            config=self.config,
            dataset=dataset_facts(self.checked, self.splits.counts),
            versions={**versions(), **self.plugins.versions()},
            facts=facts,
            resumed=resumed,
        )
