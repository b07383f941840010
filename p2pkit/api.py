"""What p2pkit does, as Python functions; the command line calls only these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from p2pkit.config import Part, Plan, load_config, recipe_names, resolve
from p2pkit.engine.build.parameters import count_parameters_on_meta
from p2pkit.engine.check import check as check_plan
from p2pkit.engine.check import open_dataset
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.shard_writer import write_shards
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.distributed.collectives import (
    check_equal_across_ranks,
    on_main_rank,
    process_group,
    raise_on_all_ranks,
)
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.metrics import metric_inputs
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.costs import save_costs
from p2pkit.engine.storage.find import find_checkpoint, new_folder, run_of
from p2pkit.engine.storage.layout import EVALUATIONS
from p2pkit.engine.training.session import RunSession
from p2pkit.errors import ConfigError, DeviceError, ModelError, Problem
from p2pkit.images.convert import conform, full_scale, to_network
from p2pkit.images.pairs import image_pairs
from p2pkit.inference.translate import Translator
from p2pkit.mlflow_store import RUN_ID_FILE
from p2pkit.progress import reporter
from p2pkit.registry import Registry, load_registry
from p2pkit.shards import ShardIndex
from p2pkit.types import ImageSpec, PairSpec, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    AnyImage = str | Path | Image.Image | NDArray[np.generic] | Tensor


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

    def load(self) -> Translator:
        """Return the trained generator, ready to translate images."""
        return load(self.checkpoint)


def check(
    config: str | Path | Mapping[str, Any], *, registry: Registry | None = None, **overrides: Any
) -> ValidatedRun:
    """Look for everything that can be wrong with a config, without training.

    Args:
        config: A recipe's name, a YAML file, or the keys themselves.
        registry: The names in force; by default those of this environment.
        **overrides: Keys to change, as in `train`.

    Returns:
        The config, resolved, with its data opened.

    Raises:
        ConfigError: It can't be run; holds all problems.
    """
    return check_plan(plan_run(config, overrides, registry))


def plan_run(config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any], registry: Registry | None) -> Plan:
    """Resolve a config; its problems are told when it is used."""
    return resolve(load_config(config, overrides), registry or load_registry())


def train(
    config: str | Path | Mapping[str, Any],
    *,
    registry: Registry | None = None,
    progress: bool = False,
    strict: bool = False,
    **overrides: Any,
) -> TrainedRun:
    """Train a generator.

    Args:
        config: A recipe's name, a YAML file, or the keys themselves.
        registry: The names in force; by default those of this environment.
        progress: Whether to show on standard error how the run comes along.
        strict: Whether a plugin that fails in the middle of the run ends it.
        **overrides: Keys to change, as nested mappings or with dots: `train("facades", **{"losses.l1": 50})`.

    Returns:
        Where the run's files are, and its scores.

    Raises:
        ConfigError: The config can't be run; holds all problems, found before training starts.
        DataError: Files can't be read.
        TrainingError: A loss is no longer a finite number.
    """
    registry = registry or load_registry()
    with process_group():
        checked = raise_on_all_ranks(lambda: check(config, registry=registry, **overrides))
        tracking = checked.plan.config.tracking
        folder = on_main_rank(lambda: new_folder(tracking.folder, tracking.name, checked.plan.source.name))
        return _train(checked, registry, folder, None, progress, strict)


def resume(
    run: str | Path, *, registry: Registry | None = None, progress: bool = False, strict: bool = False, **overrides: Any
) -> TrainedRun:
    """Go on with a run from its latest checkpoint, exactly where it was.

    Args:
        run: A run's folder or name, a tracker's name of it, or one of its checkpoints; `RUN@best` is its best one.
        registry: The names in force.
        progress: Whether to show how the run comes along.
        strict: Whether a plugin that fails in the middle of the run ends it.
        **overrides: Keys to change, for instance a longer schedule.

    Returns:
        As `train`.
    """
    registry = registry or load_registry()
    with process_group():
        checkpoint = raise_on_all_ranks(lambda: find_checkpoint(run, training=True))
        folder = run_of(checkpoint)
        if folder is None:
            cause = f"{checkpoint} does not lie in a run's folder"
            raise ModelError(Problem("", cause, "name a run, or a checkpoint in its folder of checkpoints"))
        plan = raise_on_all_ranks(lambda: plan_run(read_config(checkpoint), overrides, registry))
        checked = raise_on_all_ranks(lambda: check_plan(plan, begins=False))
        return _train(checked, registry, folder, checkpoint, progress, strict)


def _train(
    checked: ValidatedRun, registry: Registry, folder: Path, checkpoint: Path | None, progress: bool, strict: bool
) -> TrainedRun:
    check_equal_across_ranks(
        "the configs", checked.plan.resolved(), "start torchrun with the same command on all machines"
    )
    work = RunSession(checked, registry.plugins, folder, reporter(progress), strict=strict)
    outcome = work.train(checkpoint)
    sheet = outcome.samples.sheet if outcome.samples else None
    step = outcome.progress.step
    if world().main and checked.plan.generator is not None:
        size = count_parameters_on_meta(checked.plan.generator, checked.spec)
        save_costs(folder, size.total, outcome.images_per_second)
    return TrainedRun(
        folder, outcome.checkpoint, step, outcome.report, sheet, outcome.signal, outcome.best, outcome.reason
    )


def evaluate(
    model: str | Path,
    *,
    split: str | None = None,
    registry: Registry | None = None,
    progress: bool = False,
    strict: bool = False,
    **overrides: Any,
) -> EvaluatedRun:
    """Score a trained generator on a split of its data.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint; `RUN@best` is a run's best one.
        split: The part of the data; by default the one the run was evaluated on.
        registry: The names in force.
        progress: Whether to show how it comes along.
        strict: Whether a plugin that fails ends the evaluation.
        **overrides: Keys to change, for instance `**{"dataset.params.root": "more/pairs"}`.

    Returns:
        The scores, and where the picture is.
    """
    registry = registry or load_registry()
    with process_group():
        checkpoint, checked = raise_on_all_ranks(lambda: prepared(model, split, registry, overrides))
        folder = on_main_rank(lambda: new_folder((run_of(checkpoint) or checkpoint) / EVALUATIONS, None, checked.split))
        report, samples = RunSession(checked, registry.plugins, folder, reporter(progress), strict=strict).evaluate(
            checkpoint
        )
    return EvaluatedRun(folder, checkpoint, report, samples.sheet)


def prepared(
    model: str | Path, split: str | None, registry: Registry, overrides: Mapping[str, Any]
) -> tuple[Path, ValidatedRun]:
    """Find a checkpoint, and check that it can be evaluated."""
    checkpoint = find_checkpoint(model)
    wanted = {} if split is None else {"evaluate.split": split}
    return checkpoint, check_plan(plan_run(read_config(checkpoint), {**overrides, **wanted}, registry), training=False)


def load(model: str | Path, *, device: str = "auto", registry: Registry | None = None, **overrides: Any) -> Translator:
    """Load a trained generator.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint; `RUN@best` is a run's best one.
        device: Where to compute.
        registry: The names in force.
        **overrides: Keys to change: `**{"evaluate.batch_norm": "batch"}` for another inference mode.

    Returns:
        The generator; the checkpoint says all that there is to know about the network.

    Raises:
        ModelError: There is no such model.
        ConfigError: Its network or an inference mode can't be had.
        DeviceError: There is no such device here.
    """
    checkpoint = find_checkpoint(model)
    overrides["engine.device"] = device
    planned = plan_run(read_config(checkpoint), overrides, registry)
    needed = ("generator", "engine", "evaluate")  # a model is used where its data set may be out of reach
    wrong = [problem for problem in planned.problems if problem.path.partition(".")[0] in needed]
    if wrong:
        raise ConfigError(wrong)
    lacking = [
        problem for problem in device_problems(planned.config, training=False) if problem.path == "engine.device"
    ]
    if lacking:
        raise DeviceError(lacking)
    return Translator.from_checkpoint(checkpoint, planned)


def translate(
    translator: Translator,
    inputs: Sequence[Path],
    output: Path,
    *,
    batch: int = 8,
    size: tuple[int, int] | None = None,
    progress: bool = False,
) -> list[Path]:
    """Translate files and folders, and show how it comes along; see `Translator.translate_files`."""
    shown = reporter(progress)
    try:
        return translator.translate_files(
            inputs, output, batch=batch, size=size, report=lambda done, total: shown.working("translating", done, total)
        )
    finally:
        shown.close()


def shard(
    dataset: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    encoding: Literal["png", "raw"] = "png",
    per_shard: int = 256,
    registry: Registry | None = None,
    progress: bool = False,
    **overrides: Any,
) -> ShardIndex:
    """Write a data set as shards, without loss; the data set `webdataset` reads them.

    Args:
        dataset: A recipe's name, a YAML file, the keys of a config, or a data set's name.
        out: A folder that is not there yet.
        splits: Which splits; by default all.
        encoding: `png` where PNG can hold the images, or `raw`, which is larger and needs no decoding.
        per_shard: Pairs of a shard.
        registry: The names in force.
        progress: Whether to show how it comes along.
        **overrides: Keys to change, as in `train`: `**{"dataset.params.size": 286}`.

    Returns:
        What has been written.

    Raises:
        ConfigError: The data set can't be opened.
        DataError: Pairs can't be read, all of them named; nothing is left behind then.
    """
    plan = plan_data(dataset, overrides, registry)
    opened = open_dataset(plan)
    unknown = [split for split in splits or () if split not in opened.splits]
    if unknown:
        cause = f"the data set has no split {', '.join(unknown)}"
        raise ConfigError(Problem("dataset", cause, f"its splits: {', '.join(opened.splits)}"))
    shown = reporter(progress)
    try:
        index, left_out = write_shards(
            opened,
            Path(out),
            splits=splits or opened.splits,
            encoding=encoding,
            per_shard=per_shard,
            unreadable=plan.config.dataset.unreadable,
            made_from=plan.resolved()["dataset"],
            report=shown.working,
        )
        for problem in left_out:
            shown.note(f"left out: {problem}")
    finally:
        shown.close()
    return index


def plan_data(dataset: str | Path | Mapping[str, Any], overrides: Mapping[str, Any], registry: Registry | None) -> Plan:
    """Plan a config, or one that has nothing but a data set of this name."""
    ready_made = isinstance(dataset, Mapping) or str(dataset) in recipe_names() or Path(dataset).is_file()
    return plan_run(dataset if ready_made else {"dataset": str(dataset)}, overrides, registry)


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
        f"images         {' -> '.join(sides)}, {images.height} x {images.width} (height x width)",
    ]
    for key, part in (("generator", checked.generator), ("discriminator", checked.discriminator)):
        if part is not None:
            lines.append(f"{key:<15}{_name(part)}: {count_parameters_on_meta(part, images)}")
    if checked.discriminator is None:
        lines.append("discriminator  none, since no term trains one")
    terms = [f"{part.weight:g} x {name}" for name, part in plan.losses.items()]
    lines.append(f"losses         {' + '.join(terms)}")
    return [*lines, "the config is in order"]


def _name(part: Part | None) -> str:
    return part.name if part else ""


def score(
    metric: str,
    image: AnyImage,
    reference: AnyImage,
    *,
    params: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
) -> float:
    """Score images against others.

    Args:
        metric: A metric's name.
        image: What to judge: a file, an array (H, W, C), a tensor (C, H, W) or a Pillow image; or several of one size
            as a tensor (B, C, H, W); or a folder, whose images are scored against those of the same names.
        reference: What it should be.
        params: The metric's parameters.
        registry: The names in force.

    Returns:
        The value.

    Raises:
        RegistryError: There is no such metric.
        ConfigError: The parameters are wrong, the images are not of one size, or the metric compares something else
            than a fake with its target.
        DataError: A folder's images can't be paired or read.
    """
    part = (registry or load_registry()).resolve("metric", metric, params)
    problems = part.problems()
    pairs = image_pairs(image, reference)
    first = pairs[0]()
    problems += _size_problems(*first)
    if problems:
        raise ConfigError(problems)
    spec = ImageSpec(first[1].shape[0], high=full_scale(first[1]))
    built = part.build(PairSpec(spec, spec, *first[1].shape[1:]))
    if set(metric_inputs(built)) - {"fake", "target"}:
        cause = f"{metric} wants {', '.join(metric_inputs(built))} and does not compare two images"
        raise ConfigError(Problem(metric, cause, "score a trained generator by p2pkit evaluate"))
    for pair in pairs:
        images = pair()
        if wrong := _size_problems(*images):
            raise ConfigError(wrong)
        fake, target = (to_network(conform(each, spec)[None], spec) for each in images)
        built.update(*({"fake": fake, "target": target}[name] for name in metric_inputs(built)))
    return float(built.compute())


def _size_problems(first: Tensor, second: Tensor) -> list[Problem]:
    if first.shape[1:] == second.shape[1:]:
        return []
    sizes = [f"{each.shape[2]} x {each.shape[1]}" for each in (first, second)]
    return [Problem("", f"the images are of different sizes, {sizes[0]} and {sizes[1]}", "resize one")]
