"""What p2pkit does, as Python functions; the command line calls only these."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from p2pkit.config import Part, Plan
from p2pkit.engine.build.init_from import resume_problems
from p2pkit.engine.build.parameters import count_parameters_on_meta
from p2pkit.engine.check import check as check_plan
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.decode import raise_unreadable, read_sample
from p2pkit.engine.distributed.collectives import (
    check_equal_across_ranks,
    on_main_rank,
    process_group,
    raise_on_all_ranks,
)
from p2pkit.engine.distributed.signals import GracefulExit, signal_watchdog
from p2pkit.engine.distributed.world import world
from p2pkit.engine.storage.costs import save_costs
from p2pkit.engine.storage.find import SHIPPED, find_checkpoint, new_folder, run_of
from p2pkit.engine.storage.layout import EVALUATIONS
from p2pkit.engine.storage.mirror import is_sent_to
from p2pkit.engine.training.loop import OnEvaluated
from p2pkit.engine.training.restart import (
    fetched,
    latest_checkpoint,
    named_folder,
    refuse_to_begin_anew,
    take_folder,
)
from p2pkit.engine.training.session import RunSession
from p2pkit.errors import ConfigError, ModelError, Problem
from p2pkit.inference.translate import Translator
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.planning import loaded, plan_of, plan_run, with_brought
from p2pkit.progress import reporter
from p2pkit.registry import Registry, names_in_force
from p2pkit.translation import load
from p2pkit.types import Report, optional, times
from p2pkit.types.images import SIDES
from p2pkit.types.runs import shown_html
from p2pkit.untyped import Json, Plain
from p2pkit.weights.files import no_downloads


@dataclass(frozen=True)
class EvaluatedRun:
    """What came of an evaluation.

    Args:
        folder: The evaluation's folder.
        checkpoint: The checkpoint that was scored.
        report: The scores.
        sheet: The labelled picture of the samples.
    """

    folder: Path
    checkpoint: Path
    report: Report
    sheet: Path

    def _repr_html_(self) -> str:
        """Show the scores and the samples in a notebook."""
        return shown_html(self.folder.name, self.report, self.sheet)

    def _repr_png_(self) -> bytes:
        """Show the samples in a notebook."""
        return self.sheet.read_bytes()


@dataclass(frozen=True)
class TrainedRun:
    """What came of a training.

    Args:
        folder: The run's folder.
        checkpoint: The last checkpoint.
        step: Updates of the generator.
        report: The last evaluation's scores; None where the run was stopped before any.
        sheet: The last evaluation's picture; its other files lie beside it.
        signal: The signal that stopped the run, None where it came to its end.
        best: The best checkpoint; None without `checkpoint.best`.
        reason: Why it ended, in a sentence.
    """

    folder: Path
    checkpoint: Path
    step: int
    report: Report | None
    sheet: Path | None
    signal: int | None = None
    best: Path | None = None
    reason: str = ""

    @property
    def mlflow_run_id(self) -> str | None:
        """MLflow's id of the run; None where it is not recorded there."""
        note = self.folder / RUN_ID_FILE
        return note.read_text(encoding="utf-8").strip() if note.is_file() else None

    def _repr_html_(self) -> str:
        """Show what came of it in a notebook: the scores and the samples."""
        return shown_html(f"{self.folder.name}, step {self.step}", self.report, self.sheet)

    def _repr_png_(self) -> bytes | None:
        """Show the samples in a notebook, where there are any."""
        return self.sheet.read_bytes() if self.sheet is not None and self.sheet.is_file() else None

    def load(self) -> Translator:
        """Return the trained generator, ready to translate images."""
        return load(self.checkpoint)


def check(
    config: str | Path | Plain,
    *,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    every_file: bool = False,
    progress: bool = False,
    **overrides: Json,
) -> ValidatedRun:
    """Look for everything that can be wrong with a config, without training.

    Args:
        config: A recipe's name, a YAML file, or the keys themselves.
        registry: The names in force; by default those of this environment.
        plugins: One-file plugins to load beside those of this environment.
        every_file: Whether all files of the data are read, and not only a sample of each split.
        progress: Whether to show on standard error how that comes along.
        **overrides: Keys to change, as in `train`.

    Returns:
        The config, resolved, with its data opened.

    Raises:
        ConfigError: It can't be run; holds all problems.
        DataError: Files can't be read, all of them named.
    """
    checked = _checked(plan_run(config, overrides, names_in_force(registry, plugins)))
    shown = reporter(progress)
    try:
        found = read_sample(checked.dataset, every_file=every_file, report=shown.working if every_file else None)
    finally:
        shown.close()
    if checked.plan.config.dataset.unreadable == "stop":
        raise_unreadable(found)
    return checked


def _checked(plan: Plan) -> ValidatedRun:
    with no_downloads():
        return check_plan(plan)


def train(
    config: str | Path | Plain,
    *,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
    strict: bool = False,
    on_evaluated: OnEvaluated | None = None,
    go_on: bool = False,
    **overrides: Json,
) -> TrainedRun:
    """Train a generator.

    Args:
        config: A recipe's name, a YAML file, or the keys themselves.
        registry: The names in force; by default those of this environment.
        plugins: One-file plugins to load beside those of this environment.
        progress: Whether to show on standard error how the run comes along.
        strict: Whether a plugin that fails in the middle of the run ends it.
        on_evaluated: Called after each evaluation with how far the run has come and its scores; a sentence that it
            returns ends the training, as early stopping does.
        go_on: Whether to go on with the run of the config's `tracking.name` where it has a checkpoint, and else to
            begin it: for what is started again by torchrun or a scheduler.
        **overrides: Keys to change, as nested mappings or with dots: `train("facades", **{"losses.l1": 50})`.

    Returns:
        Where the run's files are, and its scores.

    Raises:
        ConfigError: The config can't be run; holds all problems, found before training starts.
        DataError: Files can't be read.
        TrainingError: A loss is no longer a finite number.
    """
    registry = names_in_force(registry, plugins)
    with GracefulExit() as leave, signal_watchdog(leave), process_group():
        if not go_on:
            raise_on_all_ranks(refuse_to_begin_anew)
        plan = raise_on_all_ranks(lambda: plan_run(config, overrides, registry))
        mirror, tracking = plan.config.checkpoint.mirror, plan.config.tracking
        options = (progress, strict, on_evaluated)
        if go_on and not plan.problems:
            folder = raise_on_all_ranks(lambda: named_folder(tracking))
            checkpoint = latest_checkpoint(folder, mirror)
            if checkpoint is not None:
                return _resume(checkpoint, loaded(plan), registry, *options)
        checked = raise_on_all_ranks(lambda: _checked(plan))
        if go_on:
            on_main_rank(lambda: take_folder(folder))
        else:
            taken = functools.partial(is_sent_to, mirror)
            folder = on_main_rank(lambda: new_folder(tracking.folder, tracking.name, plan.source.name, taken))
        return _train(checked, registry, folder, None, *options)


def resume(
    run: str | Path,
    *,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
    strict: bool = False,
    trust: bool = False,
    on_evaluated: OnEvaluated | None = None,
    **overrides: Json,
) -> TrainedRun:
    """Go on with a run from its latest checkpoint, exactly where it was.

    Args:
        run: A run's folder or name, a tracker's name of it, or one of its checkpoints; `RUN@best` is its best one. An
            address to which its checkpoints were sent, as `s3://bucket/runs/NAME`, brings it here first.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        progress: Whether to show how the run comes along.
        strict: Whether a plugin that fails in the middle of the run ends it.
        trust: Whether one-file plugins that the run brings along, and that are none of yours, may be run.
        on_evaluated: As in `train`.
        **overrides: Keys to change, for instance a longer schedule.

    Returns:
        As `train`.
    """
    registry = names_in_force(registry, plugins, trust=trust)
    with GracefulExit() as leave, signal_watchdog(leave), process_group():
        checkpoint = fetched(str(run)) or raise_on_all_ranks(lambda: find_checkpoint(run, training=True))
        names = raise_on_all_ranks(lambda: with_brought(registry, checkpoint))
        plan = raise_on_all_ranks(lambda: plan_of(checkpoint, overrides, names))
        return _resume(checkpoint, plan, names, progress, strict, on_evaluated)


def _resume(
    checkpoint: Path,
    plan: Plan,
    registry: Registry,
    progress: bool,
    strict: bool,
    on_evaluated: OnEvaluated | None,
) -> TrainedRun:
    folder = run_of(checkpoint)
    if folder is None:
        cause = f"{checkpoint} does not lie in a run's folder"
        raise ModelError(Problem("", cause, "name a run, or a checkpoint in its folder of checkpoints"))
    checked = raise_on_all_ranks(lambda: check_plan(plan, begins=False))
    changed = raise_on_all_ranks(lambda: resume_problems(checked, checkpoint))
    if changed:
        raise ConfigError(changed)
    return _train(checked, registry, folder, checkpoint, progress, strict, on_evaluated)


def _train(
    checked: ValidatedRun,
    registry: Registry,
    folder: Path,
    checkpoint: Path | None,
    progress: bool,
    strict: bool,
    on_evaluated: OnEvaluated | None,
) -> TrainedRun:
    check_equal_across_ranks(
        "the configs", checked.plan.resolved(), "start torchrun with the same command on all machines"
    )
    work = RunSession(checked, registry.plugins, folder, reporter(progress), strict=strict)
    outcome = work.train(checkpoint, on_evaluated=on_evaluated)
    sheet = outcome.samples.sheet if outcome.samples else None
    step = outcome.progress.step
    if world().main and checked.plan.generator is not None:
        size = count_parameters_on_meta(checked.plan.generator, checked.spec)
        spent = (outcome.images_per_second, outcome.joules_per_image)
        save_costs(folder, size.total, *spent, processes=world().count)
    return TrainedRun(
        folder, outcome.checkpoint, step, outcome.report, sheet, outcome.signal, outcome.best, outcome.reason
    )


def evaluate(
    model: str | Path,
    *,
    split: str | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
    strict: bool = False,
    trust: bool = False,
    **overrides: Json,
) -> EvaluatedRun:
    """Score a trained generator on a split of its data.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint; `RUN@best` is a run's best one.
        split: The part of the data; by default the one the run was evaluated on.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        progress: Whether to show how it comes along.
        strict: Whether a plugin that fails ends the evaluation.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        **overrides: Keys to change, for instance `**{"dataset.params.root": "more/pairs"}`.

    Returns:
        The scores, and where the picture is.
    """
    registry = names_in_force(registry, plugins, trust=trust)
    with GracefulExit() as leave, signal_watchdog(leave), process_group():
        names = raise_on_all_ranks(lambda: with_brought(registry, find_checkpoint(model)))
        checkpoint, checked = raise_on_all_ranks(lambda: prepared(model, split, names, overrides))
        folder = on_main_rank(lambda: new_folder(_home(checkpoint) / EVALUATIONS, None, checked.split))
        report, samples = RunSession(checked, names.plugins, folder, reporter(progress), strict=strict).evaluate(
            checkpoint
        )
    return EvaluatedRun(folder, checkpoint, report, samples.sheet)


def _home(checkpoint: Path) -> Path:
    """Return the folder below which a checkpoint's evaluations lie; what is installed stays as it is."""
    shipped = checkpoint.parent == SHIPPED
    return run_of(checkpoint) or (Path("runs", checkpoint.name) if shipped else checkpoint)


def prepared(model: str | Path, split: str | None, registry: Registry, overrides: Plain) -> tuple[Path, ValidatedRun]:
    """Find a checkpoint, and check that it can be evaluated."""
    checkpoint = find_checkpoint(model)
    wanted = {} if split is None else {"evaluate.split": split}
    registry = with_brought(registry, checkpoint)
    return checkpoint, check_plan(plan_of(checkpoint, {**overrides, **wanted}, registry), training=False)


def outline(checked: ValidatedRun) -> list[str]:
    """Say in a few lines what a checked config would do."""
    plan, images = checked.plan, checked.spec
    splits = ", ".join(f"{len(checked.dataset.pairs(split))} {split}" for split in checked.dataset.splits)
    sides = [
        f"{image.channels} {'classes' if image.kind == 'labels' else 'channels'}"
        for image in (images.source, images.target)
    ]
    lines = [
        f"dataset        {_name(plan.dataset)}: {splits}",
        f"images         {' -> '.join(sides)}, {times(images.size)} ({SIDES[images.dims]})",
    ]
    for key, part in (("generator", checked.generator), ("discriminator", checked.discriminator)):
        if part is not None:
            lines.append(f"{key:<15}{_name(part)}: {count_parameters_on_meta(part, images)}")
    if checked.discriminator is None:
        lines.append("discriminator  none, since no term trains one")
    if len(plan.phases) == 1:
        lines.append(f"losses         {plan.phases[0].describe(images)}")
    else:
        told = [
            f"{phase}, {plan.config.schedule.unit} {phase.start + 1} to {phase.end}: {phase.describe(images)}"
            for phase in plan.phases
        ]
        lines += [f"{title:<15}{text}" for title, text in zip_longest(["phases"], told, fillvalue="")]
    lines += [f"note           {note}" for note in optional.notes(checked.dataset)]
    return [*lines, "the config is in order"]


def _name(part: Part | None) -> str:
    return part.name if part else ""
