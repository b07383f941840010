"""A whole run, training or evaluation: read the data, tell the trackers, work, and end the run whatever happens."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from p2pkit.engine.build.autotune import build_tuned
from p2pkit.engine.build.init_from import load_initial
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.pair_sources import PairSource
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.distributed.collectives import check_equal_across_ranks, raise_on_all_ranks
from p2pkit.engine.distributed.failure import propagate_failure
from p2pkit.engine.distributed.world import World, world
from p2pkit.engine.evaluation.batch_norm_data import BatchNormCalibrationSet
from p2pkit.engine.evaluation.evaluator import Evaluator, mean_target
from p2pkit.engine.storage.checkpoint import load_generator, read_state, save_statistics
from p2pkit.engine.storage.layout import CONFIG
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.engine.training.checkpointing import load_checkpoint
from p2pkit.engine.training.component_errors import attribute_errors
from p2pkit.engine.training.loop import Loop, TrainResult
from p2pkit.errors import Problem
from p2pkit.plugins.events import Events
from p2pkit.plugins.loading import Plugins
from p2pkit.progress import ProgressReporter, Silent
from p2pkit.types import DatasetFacts, Report, Run, Samples

_PACKAGES = ("p2pkit", "torch", "torchvision", "kornia", "torchmetrics", "mlflow")
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
        self._settings = checked.plan.config.evaluate
        self._stored: dict[str, PairSource] = {}

    def train(self, resume: Path | None = None) -> TrainResult:
        """Train, from the beginning or from a checkpoint.

        Raises:
            TrainingError: A component failed, or a loss is no longer a finite number.
        """
        with attribute_errors(self.checked.plan, self.folder), keep_freed_memory():
            return self._train(resume)

    def _train(self, resume: Path | None) -> TrainResult:
        self._read("train", self.checked.split)
        found = raise_on_all_ranks(lambda: read_state(resume).get("settled", {})) if resume else None
        assembly = build_tuned(self.checked, self._steps(), found=found, note=self.reporter.note)
        if resume is not None:
            position = raise_on_all_ranks(lambda: load_checkpoint(resume, assembly))
        else:
            position = Progress()
            raise_on_all_ranks(lambda: load_initial(assembly, self.reporter.note))
        memory = LoopState.of(read_state(resume)) if resume else LoopState()
        if world().main:
            (self.folder / CONFIG).write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")
        run = self._record("training", assembly.facts(), resumed=resume is not None)
        engine = self.checked.plan.config.engine

        def act(events: Events) -> TrainResult:
            own = {"augmentations": assembly.augmentations, "shuffle": True}
            loader = self._loader("train", assembly.place, engine.batch, world(), **own)
            evaluator = self._evaluator(assembly.place)
            loop = Loop(assembly, loader, evaluator, events, self.reporter, self.folder, self.config)
            return loop.run(position, memory)

        return self._tracked(run, act)

    def _steps(self) -> int:
        config = self.checked.plan.config
        pairs_of_a_step = config.engine.batch * config.engine.accumulate
        steps_per_epoch = len(self._stored["train"]) // pairs_of_a_step
        return config.schedule.steps or config.schedule.length * steps_per_epoch

    def evaluate(self, checkpoint: Path) -> tuple[Report, Samples]:
        """Score a checkpoint's generator.

        Raises:
            TrainingError: A component failed.
        """
        with attribute_errors(self.checked.plan, self.folder), keep_freed_memory():
            return self._evaluate(checkpoint)

    def _evaluate(self, checkpoint: Path) -> tuple[Report, Samples]:
        self._read(*dict.fromkeys((*self._splits_beside(), self.checked.split)))
        plan = self.checked.plan
        assert plan.generator is not None
        generator = plan.generator.build(self.checked.spec)
        place = choose_placement(plan.config.engine, generator)
        raise_on_all_ranks(lambda: load_generator(checkpoint, generator))
        place.put(generator)
        step = read_state(checkpoint)["position"]["step"]
        run = self._record("evaluation", place.facts(), resumed=False)

        def act(events: Events) -> tuple[Report, Samples]:
            sheet = self.folder / "samples" / f"{self.checked.split}-step-{step:08d}.png"
            evaluator = self._evaluator(place)
            report, samples = evaluator(generator, sheet)
            if evaluator.gathered is not None and world().main:
                save_statistics(evaluator.gathered, self.folder)
            events.evaluated(step, report, samples)
            return report, samples

        return self._tracked(run, act)

    def _tracked(self, run: Run, act: Callable[[Events], Result]) -> Result:
        """Do the work between a run's start and its end, which trackers hear of in any case."""
        events = Events(self.plugins, run, self.reporter.note, strict=self.strict)
        if not world().main:
            events.listening.clear()
        try:
            raise_on_all_ranks(events.started)
            with propagate_failure():
                result = act(events)
        except BaseException as error:
            events.ended(error)
            raise
        finally:
            self.reporter.close()
        outcome = result if isinstance(result, TrainResult) else None
        stopped = outcome is not None and outcome.signal is not None
        reason = outcome.reason if outcome else ""
        events.ended(KeyboardInterrupt("stopped by a signal") if stopped else None, reason)
        return result

    def _read(self, *splits: str) -> None:
        """Decode splits, the training one at the size that the augmentations want to be given."""
        raise_on_all_ranks(lambda: self._decode(*splits))
        names = {split: (len(stored), list(getattr(stored, "names", ()))) for split, stored in self._stored.items()}
        remedy = "the data set must be the same, and complete, on all machines"
        check_equal_across_ranks("the pairs", hashlib.sha256(repr(names).encode()).hexdigest(), remedy)

    def _decode(self, *splits: str) -> None:
        config = self.checked.plan.config
        for split in splits:
            dataset = self.checked.dataset
            loads = self._loads() if split == "train" else None
            if loads is not None and split != self.checked.split and hasattr(dataset, "at"):
                dataset = dataset.at(*loads)
            self._stored[split], left_out = load_split(
                dataset.pairs(split),
                cache=config.engine.cache,
                unreadable=config.dataset.unreadable,
                workers=config.engine.workers,
                what=f"reading {split}",
                report=self.reporter.working,
                note=self._left_out,
            )
            for problem in left_out:
                self._left_out(problem)

    def _left_out(self, problem: Problem) -> None:
        self.reporter.note(f"left out: {problem}")

    def _loads(self) -> tuple[int, int] | None:
        parts = self.checked.plan.augment
        wanted = (getattr(part.build(self.checked.spec), "loads", None) for part in parts)
        return next((size for size in wanted if size is not None), None)

    def _splits_beside(self) -> tuple[str, ...]:
        """The training split, where the mean of its targets or its statistics are wanted."""
        wanted = self._settings.baselines or self._settings.batch_norm == "recalibrated"
        return ("train",) if wanted and "train" in self.checked.dataset.splits else ()

    def _loader(
        self,
        split: str,
        place: Placement,
        batch: int,
        among: World | None = None,
        **options: Any,
    ) -> Loader:
        part, parts = (among.rank, among.count) if among else (0, 1)
        own = {"part": part, "parts": parts, "seed": self.checked.plan.config.engine.seed, **options}
        return Loader(self._stored[split], self.checked.spec, batch=batch, place=place, **own)

    def _evaluator(self, place: Placement) -> Evaluator:
        batch = self._settings.batch
        train = self._stored.get("train")
        mean = mean_target(self._loader("train", place, batch)) if train and self._settings.baselines else None
        calibration = BatchNormCalibrationSet(train, self.checked.spec, batch, place) if train else None
        here = world()
        enough = len(self._stored[self.checked.split]) >= here.count  # no process may be without a pair
        loader = self._loader(self.checked.split, place, batch, here if enough else None)
        return Evaluator(self.checked, loader, mean, calibration=calibration)

    def _record(self, kind: Literal["training", "evaluation"], facts: Mapping[str, Any], *, resumed: bool) -> Run:
        return Run(
            name=self.folder.name,
            kind=kind,
            folder=self.folder,
            config=self.config,
            dataset=dataset_facts(self.checked, {split: len(stored) for split, stored in self._stored.items()}),
            versions={**versions(), **self.plugins.versions()},
            facts=facts,
            resumed=resumed,
        )


def dataset_facts(checked: ValidatedRun, counts: Mapping[str, int]) -> DatasetFacts:
    """Return what is recorded of a run's data, given the number of pairs of each split that it uses."""
    part = checked.plan.dataset
    assert part is not None
    fingerprint = getattr(checked.dataset, "fingerprint", lambda split: "")
    root = str(part.resolved()["params"].get("root", ""))
    return DatasetFacts(part.name, checked.spec, counts, "-".join(map(fingerprint, counts)), root)


def versions() -> dict[str, str]:
    """Return the version of each package that matters, and the commit where there is one."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    commit = _git_commit()
    return {**found, "git": commit} if commit else found


def _git_commit() -> str:
    """Return the commit of the working directory's repository, empty outside of one."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
