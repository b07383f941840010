"""Everything that can be wrong with a plan, found before the first kernel is launched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from p2pkit.config import Part, Plan
from p2pkit.engine.build.init_from import initial_problems
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.metrics import OFFERED, metric_inputs
from p2pkit.engine.step.objective import Objective, PlayerName, Term
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit.types import PairDataset, PairSpec, Verdict, View


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
    if training and plan.config.sweep.wanted:
        problems.append(Problem("sweep", "this config is of several runs", "run it with p2pkit sweep"))
    dataset = _built(plan.dataset, None, problems) if plan.dataset else None
    split, adversarial = "", False
    if dataset is not None:
        split = _split(plan, dataset, problems)
        if training:
            _check_count(plan, dataset, problems)
        elif plan.config.evaluate.batch_norm == "recalibrated" and "train" not in dataset.splits:
            cause = "there is no split train to gather statistics from"
            problems.append(Problem("evaluate.batch_norm", cause, "use running or batch"))
        metrics = _metrics(plan, dataset.spec, problems)
        problems += _selection_problems(plan, metrics) if training else ()
        adversarial = _check_shapes(plan, dataset.spec, problems, initial=training and begins)
    problems += [*device_problems(plan.config, training=training), *_folder_problems(plan)]
    if problems or dataset is None or plan.dataset is None or plan.generator is None:
        raise ConfigError(problems)
    return ValidatedRun(plan, dataset, split, plan.dataset, plan.generator, plan.discriminator if adversarial else None)


def open_dataset(plan: Plan) -> PairDataset:
    """Open a plan's data, whatever may be wrong with the rest of the plan.

    Raises:
        ConfigError: It can't be opened; holds all problems.
    """
    problems = [problem for problem in plan.problems if problem.path.partition(".")[0] == "dataset"]
    dataset: PairDataset | None = _built(plan.dataset, None, problems) if plan.dataset and not problems else None
    if dataset is None:
        raise ConfigError(problems or plan.problems)
    return dataset


def _built(part: Part, images: PairSpec | None, problems: list[Problem]) -> Any:
    try:
        built = part.build(images)
    except P2pkitError as error:
        problems += error.problems
        return None
    network = part.offer.component.kind in ("generator", "discriminator")
    if built is None or (network and not isinstance(built, nn.Module)):
        wanted = "a torch.nn.Module" if network else f"a {part.offer.component.kind}"
        cause = f"{part.offer.full_name} made a {type(built).__name__} where {wanted} is wanted"
        problems.append(Problem(part.path, cause, "let its factory return what it makes"))
        return None
    return built


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
    wanted = plan.config.engine.batch * plan.config.engine.accumulate * world().count
    count = len(dataset.pairs("train"))
    if count < wanted:
        cause = f"one update takes {wanted} pairs, and there are {count} to train on"
        problems.append(Problem("engine.batch", cause, "lower engine.batch or engine.accumulate"))


def _folder_problems(plan: Plan) -> list[Problem]:
    folder = plan.config.tracking.folder
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if existing.is_dir():
        return []
    return [Problem("tracking.folder", f"{existing} is a file", "name a folder that exists or can be made")]


def _metrics(plan: Plan, images: PairSpec, problems: list[Problem]) -> dict[str, Any]:
    """Build each metric, once, since some load a network; None for one that can't be built."""
    metrics = {}
    for name, part in plan.metrics.items():
        metrics[name] = _built(part, images, problems)
        unknown = [asked for asked in metric_inputs(metrics[name]) if asked not in OFFERED]
        if unknown:
            cause = f"{part.offer.full_name} wants {', '.join(unknown)} for its update"
            problems.append(Problem(part.path, cause, f"there is: {', '.join(OFFERED)}"))
    return metrics


def _selection_problems(plan: Plan, metrics: Mapping[str, Any]) -> list[Problem]:
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


def _undirected(metric: Any) -> bool:
    return metric is not None and getattr(metric, "higher_is_better", None) is None


def _check_shapes(plan: Plan, images: PairSpec, problems: list[Problem], *, initial: bool) -> bool:
    """Build on the meta device, where nothing is computed, and run one step's forward passes; tell if adversarial."""
    for part in plan.augment:
        _built(part, images, problems)
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        generator = _built(plan.generator, images, problems) if plan.generator else None
        losses = [(name, part, _built(part, images, problems)) for name, part in plan.losses.items()]
        terms = [Term(name, part, loss) for name, part, loss in losses if loss is not None]
        adversarial = Objective(terms).adversarial
        wanted = plan.discriminator if adversarial else None
        discriminator = _built(wanted, images, problems) if wanted else None
        if not terms and not problems:
            problems.append(Problem("losses", "no term has a weight above 0, so nothing would be learnt"))
        if initial and generator is not None:
            problems += initial_problems(plan, generator)
        if generator is not None:
            batch = plan.config.engine.batch
            source = torch.zeros(batch, images.source.channels, images.height, images.width)
            target = torch.zeros(batch, images.target.channels, images.height, images.width)
            fake = _generated(generator, source, target, problems)
            if fake is not None and (discriminator is None or _judged(discriminator, source, fake, problems)):
                _check_terms(terms, View(source, target, fake, discriminator), problems)
    return adversarial


@contextmanager
def _reported(path: str, problems: list[Problem]) -> Iterator[None]:
    """Turn whatever a component raises on the meta device into a problem, unless it is the meta device's own limit."""
    try:
        yield
    except NotImplementedError:
        return
    except ComponentError as error:
        problems.append(error.at(path))
    except Exception as error:
        if "meta" not in str(error).lower():
            problems.append(Problem(path, first_line(error)))


def _generated(generator: Any, source: Tensor, target: Tensor, problems: list[Problem]) -> Tensor | None:
    fake: Tensor | None = None
    with _reported("generator", problems):
        fake = generator(source)
    if fake is not None and fake.shape != target.shape:
        cause = f"makes images of shape {_shape(fake)}, where the data has {_shape(target)} (channels x height x width)"
        remedy = "choose a generator whose output has the target's channels and size, or another dataset.params.size"
        problems.append(Problem("generator", cause, remedy))
        return None
    return fake


def _judged(discriminator: Any, source: Tensor, fake: Tensor, problems: list[Problem]) -> bool:
    verdict: Any = None
    with _reported("discriminator", problems):
        verdict = discriminator(source, fake)
    if verdict is not None and not isinstance(verdict, Verdict):
        cause = f"returned a {type(verdict).__name__} where a p2pkit.Verdict is wanted"
        problems.append(Problem("discriminator", cause, "return p2pkit.Verdict(logits=(...), features=(...))"))
    return isinstance(verdict, Verdict)


def _check_terms(terms: list[Term], view: View, problems: list[Problem]) -> None:
    players: tuple[PlayerName, ...] = ("generator", "discriminator")
    for term in terms:
        path = f"losses.{term.name}"
        for player in (player for player in players if term.judges(player)):
            with _reported(path, problems):
                value = getattr(term.loss, player)(view)
                if value.shape != ():
                    problems.append(Problem(path, f"is of shape {list(value.shape)}, not a scalar", "take its mean"))


def _shape(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[1:]))
