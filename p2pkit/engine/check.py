"""Everything that can be wrong with a plan, found before the first kernel is launched."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.config import Part, Plan
from p2pkit.config.model import OptimizerConfig
from p2pkit.engine.build.init_from import initial_problems
from p2pkit.engine.build.optimizer import (
    learned_losses,
    learning_rate_factor,
    make_optimizer,
    optimizer_of_losses,
)
from p2pkit.engine.checked import ValidatedRun, with_noise
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.objective import Objective, PlayerName, Term
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit.extras.calling import SEEN, answered, chosen, generated, lacking, moved_along
from p2pkit.extras.values import blank
from p2pkit.types import Discriminate, PairDataset, PairMetric, PairSpec, Verdict, View, optional
from p2pkit.types import Made as Generated
from p2pkit.types.images import RESERVED
from p2pkit.untyped import Made


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
        images = with_noise(dataset.spec, plan.config.noise)
        split = _split(plan, dataset, problems)
        problems += _noise_problems(plan, dataset)
        if training:
            _check_count(plan, dataset, problems)
            _check_schedule(plan, problems)
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


def _built(part: Part, images: PairSpec | None, problems: list[Problem]) -> Made:
    try:
        built = part.build(images)
    except P2pkitError as error:
        problems += error.problems
        return None
    kind = part.component.kind
    wrong = optional.misfits(kind, built)
    if kind in ("generator", "discriminator") and not isinstance(built, nn.Module):
        wrong = [f"made a {type(built).__name__} where a torch.nn.Module is wanted"]
    remedy = "let its factory return what p2pkit's reference says of a " + kind
    problems += [Problem(part.path, f"{part.component.full_name} {cause}", remedy) for cause in wrong]
    return None if wrong else built


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
    return {name: _built(part, images, problems) for name, part in plan.metrics.items()}


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
    augmentations = [_built(part, images, problems) for part in plan.augment]
    if training:
        problems += _left_behind(plan, augmentations, images)
        _check_larger(dataset, next(filter(None, map(optional.loads, augmentations)), None), problems)
    trial = _Trial(plan, images, "meta", training=training, initial=training and begins)
    if any(map(_of_the_meta_device, trial.errors)):
        trial = _Trial(plan, images, "cpu", training=training, initial=training and begins)
    problems += trial.problems
    return trial.adversarial


def _noise_problems(plan: Plan, dataset: PairDataset) -> list[Problem]:
    """List what is wrong with the names of noise."""
    known = {*dataset.spec.extras, *RESERVED}
    remedy = f"take a name that is none of {', '.join(sorted(known))}"
    return [
        Problem(f"noise.{name}", "is the name of something that the data set has", remedy)
        for name in plan.config.noise
        if name in known
    ]


def _left_behind(plan: Plan, augmentations: Sequence[Made], images: PairSpec) -> Iterator[Problem]:
    """Yield the augmentations that would move source and target, and not the images beside them."""
    for part, augmentation in zip(plan.augment, augmentations, strict=True):
        left = images.images.keys() - moved_along(augmentation, images)
        if augmentation is not None and left and optional.moves(augmentation):
            cause = f"{part.component.full_name} moves source and target, and would leave {', '.join(sorted(left))} behind"
            remedy = "let its call take the other images too, `*extras`, or state `moves = False` where it moves nothing"
            yield Problem(part.path, cause, remedy)


def _check_larger(dataset: PairDataset, size: tuple[int, int] | None, problems: list[Problem]) -> None:
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
        if (spec.height, spec.width) != size:
            cause = f"its at{size} gives a data set whose spec says {(spec.height, spec.width)} (height, width)"
            problems.append(Problem("dataset", cause, "let it give one of the size that is asked for"))


def _of_the_meta_device(error: BaseException) -> bool:
    """Tell whether the meta device may be to blame: it says so in many ways, but never without its name."""
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()


class _Trial:
    """The forward passes of one step on a device, and what is wrong with them.

    Args:
        plan: The plan.
        images: What the images are.
        device: Where to try; only one pair is looked at where values are computed.
        training: Whether the networks are to learn.
        initial: Whether they are to begin with another run's weights.
    """

    def __init__(self, plan: Plan, images: PairSpec, device: str, *, training: bool, initial: bool) -> None:
        self.problems: list[Problem] = []
        self.errors: list[BaseException] = []
        self.adversarial = False
        with torch.device(device), torch.random.fork_rng(devices=[]):
            generator = self._network(plan.generator, images, training=training) if plan.generator else None
            losses = [(name, part, self._built(part, images)) for name, part in plan.losses.items()]
            terms = [Term(name, part, loss) for name, part, loss in losses if loss is not None]
            self.adversarial = Objective(terms).adversarial
            wanted = plan.discriminator if self.adversarial else None
            discriminator = self._network(wanted, images, training=training) if wanted else None
            if not terms and not self.problems and not plan.problems:
                self.problems.append(Problem("losses", "no term has a weight above 0, so nothing would be learnt"))
            if training:
                self._check_optimizers(plan, {"generator": generator, "discriminator": discriminator}, terms)
            if initial and generator is not None:
                self.problems += initial_problems(plan, generator)
            if generator is not None:
                batch = plan.config.engine.batch if device == "meta" else 1
                source = torch.zeros(batch, images.source.channels, images.height, images.width)
                target = torch.zeros(batch, images.target.channels, images.height, images.width)
                extras = blank(images, batch)
                made = self._generated(generator, source, target, extras)
                if made is None or (self.adversarial and discriminator is None):
                    return
                asked = _Asked(generator, discriminator, source, target, made, extras)
                if discriminator is None or self._judged(discriminator, asked):
                    self._check_terms(terms, "generator", asked.view())
                    self._check_terms(terms, "discriminator", asked.view(history=False))
                    if plan.config.engine.sync_batch_norm and world().several and discriminator is not None:
                        self._check_penalties(terms, asked, discriminator)

    def _built(self, part: Part, images: PairSpec) -> Made:
        found: list[Problem] = []
        built = _built(part, images, found)
        self.problems += found
        self.errors += [ConfigError(problem) for problem in found]
        return built

    def _network(self, part: Part, images: PairSpec, *, training: bool) -> nn.Module | None:
        network: nn.Module | None = self._built(part, images)
        if training and network is not None and not any(weight.requires_grad for weight in network.parameters()):
            cause = f"{part.component.full_name} has no parameters that can be trained"
            self.problems.append(Problem(part.path, cause, "choose another, or leave some of its parameters unfrozen"))
            return None
        return network

    def _check_optimizers(self, plan: Plan, networks: Mapping[str, nn.Module | None], terms: Sequence[Term]) -> None:
        """Make each optimiser, whose groups have to match parameters."""
        for key, network in networks.items():
            if key in plan.optimizers and network is not None:
                self._make_optimizer(plan.optimizers[key], getattr(plan.config.optimizers, key), network)
        for loss in () if plan.problems else learned_losses(terms).values():
            self._make_optimizer(*optimizer_of_losses(plan), loss)

    def _make_optimizer(self, part: Part, config: OptimizerConfig, network: nn.Module) -> None:
        try:
            make_optimizer(part, config, network)
        except ConfigError as error:
            self.problems += [problem for problem in error.problems if problem not in self.problems]
            self.errors.append(error)

    @contextmanager
    def _reported(self, path: str) -> Iterator[None]:
        """Turn whatever a component raises into a problem."""
        try:
            yield
        except ComponentError as error:
            self.problems.append(error.at(path))
        except Exception as error:
            self.errors.append(error)
            self.problems.append(Problem(path, first_line(error)))

    def _lacking(self, key: str, network: nn.Module, extras: Mapping[str, Tensor]) -> bool:
        """Tell of the extras that a network asks for, and nobody has."""
        names = lacking(network, extras, SEEN[key])
        known = f"it has {', '.join(extras)}" if extras else "it has none"
        for name in names:
            cause = f"its forward asks for {name!r}, which the data set does not have ({known})"
            remedy = (
                f"take a data set whose spec has it in its extras, write noise: {{{name}: 8}} for numbers that are drawn, "
                "or give the argument a default"
            )
            self.problems.append(Problem(key, cause, remedy))
        return bool(names)

    def _generated(
        self, generator: nn.Module, source: Tensor, target: Tensor, extras: Mapping[str, Tensor]
    ) -> Generated | None:
        made: Made = target
        if self._lacking("generator", generator, extras):
            return None
        with self._reported("generator"):
            made = generator(source, **chosen(generator, extras))
        found = answered(made)
        if not isinstance(found.fake, Tensor):
            cause = f"returned a {type(made).__name__} where a tensor is wanted"
            remedy = "let its forward return the image alone, or p2pkit.Made(image, {name: tensor})"
            self.problems.append(Problem("generator", cause, remedy))
        elif found.fake.shape != target.shape:
            shape, wanted = _shape(found.fake), _shape(target)
            cause = f"makes images of shape {shape}, where the data has {wanted} (channels x height x width)"
            remedy = (
                "choose a generator whose output has the target's channels and size, or another dataset.params.size"
            )
            self.problems.append(Problem("generator", cause, remedy))
        elif made is not target:
            return found
        return None

    def _judged(self, discriminator: nn.Module, asked: _Asked) -> bool:
        verdict: Made = None
        if self._lacking("discriminator", discriminator, asked.view().extras):
            return False
        with self._reported("discriminator"):
            verdict = asked.view().on_fake
            if isinstance(verdict, Verdict) and _well_formed(verdict):
                return True
            returned = "Verdict without tuples of tensors" if isinstance(verdict, Verdict) else type(verdict).__name__
            cause = f"returned a {returned} where a p2pkit.Verdict is wanted"
            remedy = "return p2pkit.Verdict(logits=(...), features=((...),))"
            self.problems.append(Problem("discriminator", cause, remedy))
        return False

    def _check_terms(self, terms: list[Term], player: PlayerName, view: View) -> None:
        for term in (term for term in terms if term.judges(player)):
            path = f"losses.{term.name}"
            if any(problem.path == path for problem in self.problems):
                continue  # told of the other player's turn
            with self._reported(path):
                value: Made = term.value(player, view)
                if not isinstance(value, Tensor):
                    cause = f"returned a {type(value).__name__} where a scalar tensor is wanted"
                    self.problems.append(Problem(path, cause, "compute it with torch"))
                elif value.shape != ():
                    cause = f"is of shape {list(value.shape)}, not a scalar"
                    self.problems.append(Problem(path, cause, "take its mean"))

    def _check_penalties(self, terms: list[Term], asked: _Asked, discriminator: nn.Module) -> None:
        """Find terms that ask for a gradient's gradient, which torch's batch norm over several processes can't give."""
        found: list[bool] = []

        def watched(source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
            found.append(image.requires_grad)
            verdict: Verdict = discriminator(source, image, **chosen(discriminator, extras, 2))
            return verdict

        norms = any(isinstance(module, _BatchNorm) for module in discriminator.modules())
        for term in (term for term in terms if norms and term.judges("discriminator")):
            found.clear()
            with suppress(Exception):  # which is reported already
                term.value("discriminator", asked.view(history=False, judge=watched))
            if any(found):
                cause = f"losses.{term.name} differentiates a gradient, which batch norm over several processes can't"
                remedy = "leave it out, or choose another norm for the discriminator"
                self.problems.append(Problem("engine.sync_batch_norm", cause, remedy))


@dataclass(frozen=True)
class _Asked:
    """Both networks and one batch, for views of it."""

    generator: nn.Module
    discriminator: nn.Module | None
    source: Tensor
    target: Tensor
    made: Generated
    extras: Mapping[str, Tensor]

    def view(self, *, history: bool = True, judge: Discriminate | None = None) -> View:
        """Return what losses see of the batch in a player's turn."""
        made = self.made if history else self.made.detach()
        ask = judge or (self._judge if self.discriminator is not None else None)
        beside = {"extras": self.extras, "made": made.extras}
        generate = self._generate if history else torch.no_grad()(self._generate)
        return View(self.source, self.target, made.fake, ask, generate=generate, **beside)

    def _generate(self, source: Tensor, **extras: Tensor) -> Tensor:
        return generated(self.generator, source, extras)

    def _judge(self, source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
        assert self.discriminator is not None
        verdict: Verdict = self.discriminator(source, image, **chosen(self.discriminator, extras, 2))
        return verdict


def _well_formed(verdict: Verdict) -> bool:
    """Tell whether a verdict has tuples of tensors where it should have them."""
    scales: tuple[object, ...] = (
        (verdict.logits, *verdict.features) if isinstance(verdict.features, tuple | list) else ()
    )
    return bool(verdict.logits is not None and scales) and all(
        isinstance(scale, tuple | list) and all(isinstance(each, Tensor) for each in scale) for scale in scales
    )


def _shape(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[1:]))
