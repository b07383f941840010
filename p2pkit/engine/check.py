"""Everything that can be wrong with a plan, found before the first kernel is launched."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from p2pkit.config import Plan
from p2pkit.engine.build.dry_run import DryRun, built
from p2pkit.engine.build.optimizer import learning_rate_factor
from p2pkit.engine.checked import ValidatedRun, with_noise
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.metrics import scored
from p2pkit.engine.storage.mirror import mirror_problems
from p2pkit.errors import ConfigError, P2pkitError, Problem, first_line, of_the_meta_device
from p2pkit.extras.calling import moved_along
from p2pkit.passwords import holds_password
from p2pkit.types import PairDataset, PairMetric, PairSpec, optional, times
from p2pkit.types.images import RESERVED
from p2pkit.untyped import Json, Made, Untyped


def check(plan: Plan, *, training: bool = True, begins: bool = True) -> ValidatedRun:
    """Look for everything that can be wrong with a plan.

    Args:
        plan: The plan.
        training: Whether it is to be trained, and not only evaluated.
        begins: Whether training begins, and does not go on from a checkpoint.

    Returns:
        The plan with its data opened.

    Raises:
        ConfigError: Something is wrong; it holds all problems.
    """
    problems = [*plan.problems]
    if training:
        problems += [*_password_problems(plan), *mirror_problems(plan.config.checkpoint.mirror)]
        plan = _accumulating(plan, problems)
    if training and plan.config.sweep.wanted:
        problems.append(Problem("sweep", "this config is of several runs", "run it with p2pkit sweep"))
    if plan.config.executor is not None:
        cause = "is for the runs of a sweep, and for translate"
        problems.append(Problem("executor", cause, "leave it out; one run is trained by the process that is asked to"))
    dataset = built(plan.dataset, None, problems) if plan.dataset else None
    split, adversarial = "", False
    if dataset is not None:
        images = _images(plan, dataset, problems)
        split = _split(plan, dataset, problems)
        if training:
            _check_count(plan, dataset, problems)
            _check_schedule(plan, problems)
            problems += _too_large(plan, dataset.spec)
        elif plan.config.evaluate.batch_norm == "recalibrated" and "train" not in dataset.splits:
            cause = "there is no split train to gather statistics from"
            problems.append(Problem("evaluate.batch_norm", cause, "use running or batch"))
        metrics = _metrics(plan, images, problems)
        problems += [*_selection_problems(plan, metrics), *_registration_problems(plan, metrics)] if training else ()
        adversarial = _check_shapes(plan, dataset, images, problems, training=training, begins=begins)
    problems += [*device_problems(plan.config, training=training), *_folder_problems(plan)]
    if problems or dataset is None or plan.dataset is None or plan.generator is None:
        raise ConfigError(problems)
    return ValidatedRun(plan, dataset, split, plan.dataset, plan.generator, plan.discriminator if adversarial else None)


def _password_problems(plan: Plan) -> Iterator[Problem]:
    """Refuse addresses that open what they lead to: a config is recorded wherever its run is."""
    recorded = plan.config.model_dump(mode="json", exclude={"sweep", "executor"})
    for path, value in _texts("", recorded):
        if holds_password(value):
            cause = "the address holds a password or a token, which run.yaml, checkpoints and trackers would hold too"
            yield Problem(path, cause, "leave it out: its package finds it in its own config, or in the environment")


def _texts(path: str, value: Json) -> Iterator[tuple[str, str]]:
    """Yield the texts in plain data, each with its path."""
    if isinstance(value, str):
        yield path, value
    inside = value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, list) else {}
    for key, item in inside.items():
        yield from _texts(f"{path}.{key}" if path else str(key), item)


def _accumulating(plan: Plan, problems: list[Problem]) -> Plan:
    """Let `accumulate` follow from the pairs of an update, where the config says those."""
    engine, count = plan.config.engine, world().count
    if engine.global_batch is None:
        return plan
    accumulate, rest = divmod(engine.global_batch, engine.batch * count)
    if rest or not accumulate:
        cause = f"{engine.global_batch} pairs are no whole number of batches of {engine.batch} in {count} processes"
        problems.append(Problem("engine.global_batch", cause, "make it a multiple of engine.batch x processes"))
        return plan
    settled = engine.model_copy(update={"accumulate": accumulate})
    return replace(plan, config=plan.config.model_copy(update={"engine": settled}))


def open_dataset(plan: Plan) -> PairDataset:
    """Open a plan's data, whatever may be wrong with the rest of the plan.

    Raises:
        ConfigError: It can't be opened; holds all problems.
    """
    problems = [problem for problem in plan.problems if problem.path.partition(".")[0] == "dataset"]
    dataset: PairDataset | None = built(plan.dataset, None, problems) if plan.dataset and not problems else None
    if dataset is None:
        raise ConfigError(problems or plan.problems)
    return dataset


def _split(plan: Plan, dataset: PairDataset, problems: list[Problem]) -> str:
    wanted = plan.config.evaluate.split
    if wanted == "auto":
        return next((name for name in ("val", "test") if name in dataset.splits), "train")
    if wanted not in dataset.splits:
        remedy = f"its splits: {', '.join(dataset.splits)}"
        problems.append(Problem("evaluate.split", f"the data set has no split {wanted!r}", remedy))
    return wanted


def _check_count(plan: Plan, dataset: PairDataset, problems: list[Problem]) -> None:
    if "train" not in dataset.splits:
        found = ", ".join(dataset.splits) or "none"
        problems.append(Problem("dataset", "there is no split train to learn from", f"its splits: {found}"))
        return
    most = max(phase.updates.groups for phase in plan.phases)
    wanted = plan.config.engine.batch * plan.config.engine.accumulate * world().count * most
    pairs: Untyped = dataset.pairs("train")
    if not hasattr(pairs, "__len__"):
        cause = f"its pairs('train') is a {type(pairs).__name__}, which has no length"
        problems.append(Problem("dataset", cause, "return a list, another sequence, or a p2pkit.PairStream"))
        return
    count = len(pairs)
    if count < wanted:
        cause = f"one update takes {wanted} pairs, and there are {count} to train on"
        problems.append(Problem("engine.batch", cause, "lower engine.batch or engine.accumulate"))


def _check_schedule(plan: Plan, problems: list[Problem]) -> None:
    """Ask the schedule for its first and last factor, as if an epoch were one step."""
    if plan.schedule is None:
        return
    try:
        factor = learning_rate_factor(plan, 1)
        wrong = [value for value in (factor(0), factor(plan.config.schedule.length - 1)) if not 0 <= value < math.inf]
    except ConfigError as error:
        problems += error.problems
    except Exception as error:  # a plugin may raise anything
        problems.append(
            Problem("schedule.shape", f"{plan.schedule.component.full_name}: {first_line(error, typed=True)}")
        )
    else:
        cause = f"{plan.schedule.component.full_name} returns {', '.join(map(str, wrong))}"
        problems += [Problem("schedule.shape", cause, "a factor is a number of 0 or more")] if wrong else []


def _too_large(plan: Plan, images: PairSpec) -> Iterator[Problem]:
    """Yield the phases whose images are larger than the run's, from which they are made."""
    for phase in plan.phases:
        size = phase.size_of(images)
        if any(side > own for side, own in zip(size, images.size, strict=True)):
            cause = f"{times(size)} is larger than the run's images of {times(images.size)}"
            remedy = "let the data set have the largest size, and give the phases smaller ones"
            yield Problem(phase.at("size"), cause, remedy)


def _folder_problems(plan: Plan) -> list[Problem]:
    folder = plan.config.tracking.folder
    try:
        os.path.lexists(folder) or os.stat(folder.absolute().parent)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a name too long, or one with a NUL in it
        reason = getattr(error, "strerror", None) or error
        return [Problem("tracking.folder", f"can't be a folder: {reason}", "name a folder that exists or can be made")]
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if existing.is_dir():
        return []
    return [Problem("tracking.folder", f"{existing} is a file", "name a folder that exists or can be made")]


def _metrics(plan: Plan, images: PairSpec, problems: list[Problem]) -> dict[str, PairMetric | None]:
    """Build each metric, once, since some load a network; None for one that can't be built."""
    return {name: built(part, scored(images), problems) for name, part in plan.metrics.items()}


def _selection_problems(plan: Plan, metrics: Mapping[str, PairMetric | None]) -> list[Problem]:
    """List what is wrong with the choice of a best checkpoint and with patience."""
    best, patience = plan.config.checkpoint.best, plan.config.schedule.patience
    problems = []
    if patience is not None and best is None:
        names = " or ".join(metrics)
        problems.append(Problem("schedule.patience", "there is no metric to go by", f"set checkpoint.best to {names}"))
    if best is None:
        return problems
    if best not in metrics:
        remedy = f"add it to evaluate.metrics, or choose one of these: {', '.join(metrics)}"
        problems.append(Problem("checkpoint.best", f"{best!r} is not measured in this run", remedy))
    elif plan.config.checkpoint.better == "auto" and _undirected(metrics[best]):
        cause = f"the metric {best} does not say whether higher or lower is better"
        problems.append(Problem("checkpoint.better", cause, "write higher or lower"))
    if plan.config.evaluate.every == 0:
        cause = "there are no evaluations during training to choose by"
        problems.append(Problem("evaluate.every", cause, "set it to 1 or more, or leave checkpoint.best out"))
    return problems


def _registration_problems(plan: Plan, metrics: Mapping[str, PairMetric | None]) -> Iterator[Problem]:
    """Yield what keeps a model from being registered, and compared with what is there."""
    tracking = plan.config.tracking
    if tracking.register is None:
        return
    if not tracking.model:
        yield Problem("tracking.register", "no model is recorded in MLflow", "set tracking.model to true")
    if plan.config.checkpoint.best is None and all(map(_undirected, metrics.values())):
        cause = "no metric of this run says whether higher or lower is better"
        yield Problem("tracking.register", cause, "set checkpoint.best to one, and checkpoint.better to a direction")


def _undirected(metric: PairMetric | None) -> bool:
    return metric is not None and optional.higher_is_better(metric) is None


def _check_shapes(
    plan: Plan, dataset: PairDataset, images: PairSpec, problems: list[Problem], *, training: bool, begins: bool
) -> bool:
    """Build everything and run one step's forward passes; tell if adversarial.

    That is done on the meta device, where nothing is computed. What fails there for a reason of the meta device's own,
    since it asks tensors for their values, is tried once more where they have some.
    """
    augmentations = [built(part, images, problems) for part in plan.augment]
    if training:
        problems += _left_behind(plan, augmentations, images)
        _check_larger(dataset, next(filter(None, map(optional.loads, augmentations)), None), problems)
    trial = DryRun(plan, images, "meta", training=training, initial=training and begins)
    if any(map(of_the_meta_device, trial.errors)):
        trial = DryRun(plan, images, "cpu", training=training, initial=training and begins)
    problems += trial.problems
    return trial.adversarial


def _images(plan: Plan, dataset: PairDataset, problems: list[Problem]) -> PairSpec:
    """Return what the run's images are, without noise under names that are taken."""
    known = {*dataset.spec.extras, *RESERVED}
    remedy = f"take a name that is none of {', '.join(sorted(known))}"
    taken = [name for name in plan.config.noise if name in known]
    problems += [Problem(f"noise.{name}", "is the name of something that the data set has", remedy) for name in taken]
    return dataset.spec if taken else with_noise(dataset.spec, plan.config.noise)


def _left_behind(plan: Plan, augmentations: Sequence[Made], images: PairSpec) -> Iterator[Problem]:
    """Yield the augmentations that would move source and target, and not the images beside them."""
    for part, augmentation in zip(plan.augment, augmentations, strict=True):
        left = images.images.keys() - moved_along(augmentation, images)
        if augmentation is not None and left and optional.moves(augmentation):
            cause = (
                f"{part.component.full_name} moves source and target, and would leave {', '.join(sorted(left))} behind"
            )
            remedy = (
                "let its call take the other images too, `*extras`, or state `moves = False` where it moves nothing"
            )
            yield Problem(part.path, cause, remedy)


def _check_larger(dataset: PairDataset, size: tuple[int, ...] | None, problems: list[Problem]) -> None:
    """Ask a data set for the size that an augmentation wants its images in."""
    resized = optional.at(dataset)
    if size is None or resized is None:
        return
    try:
        spec = resized(*size).spec
    except P2pkitError as error:
        problems += error.problems
    except Exception as error:  # a plugin may raise anything
        problems.append(Problem("dataset", f"its at{size} raised {first_line(error, typed=True)}"))
    else:
        if spec.size != size:
            cause = f"its at{size} gives a data set whose spec says {spec.size} (height, width)"
            problems.append(Problem("dataset", cause, "let it give one of the size that is asked for"))
