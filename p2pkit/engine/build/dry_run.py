"""The forward passes of one step, tried before anything is trained, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.config import Part, Plan
from p2pkit.config.model import OptimizerConfig
from p2pkit.config.phases import Phase
from p2pkit.engine.build.init_from import initial_problems
from p2pkit.engine.build.meta import trial_device
from p2pkit.engine.build.optimizer import frozen_problems, learned_losses, make_optimizer, optimizer_of_losses
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.objective import Objective, PlayerName, Term
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit.extras.calling import SEEN, answered, chosen, generated, lacking
from p2pkit.extras.values import blank
from p2pkit.types import Discriminate, PairSpec, Verdict, View, optional, times
from p2pkit.types import Made as Generated
from p2pkit.untyped import Made

_OF_VOLUMES = "the data are volumes (B, C, D, H, W): take a network of three dimensions, if this is one of images"


def built(part: Part, images: PairSpec | None, problems: list[Problem]) -> Made:
    """Make a component, and look whether it is what it should be.

    Args:
        part: The component.
        images: What the run's images are.
        problems: Gathers what is wrong.

    Returns:
        The component; None where it can't be used.
    """
    try:
        made = part.build(images)
    except P2pkitError as error:
        problems += error.problems
        return None
    kind = part.component.kind
    wrong = optional.misfits(kind, made)
    if kind in ("generator", "discriminator") and not isinstance(made, nn.Module):
        wrong = [f"made a {type(made).__name__} where a torch.nn.Module is wanted"]
    remedy = "let its factory return what p2pkit's reference says of a " + kind
    problems += [Problem(part.path, f"{part.component.full_name} {cause}", remedy) for cause in wrong]
    return None if wrong else made


class DryRun:
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
        self._remedy = _OF_VOLUMES if images.dims > 2 else ""
        with trial_device(device), torch.random.fork_rng(devices=[]):
            generator = self._network(plan.generator, images, training=training) if plan.generator else None
            losses = [(name, part, self._built(part, images)) for name, part in plan.losses.items()]
            terms = [Term(name, part, loss) for name, part, loss in losses if loss is not None]
            tried = _tried(plan, training=training)
            weighed = {phase.number: Objective(terms).weighing(phase.terms) for phase in tried}
            self.adversarial = any(objective.adversarial for objective in weighed.values())
            wanted = plan.discriminator if self.adversarial else None
            discriminator = self._network(wanted, images, training=training) if wanted else None
            sound = not self.problems and not plan.problems
            for phase in tried if sound else ():
                if not weighed[phase.number].periods:
                    cause = "no term has a weight above 0, so nothing would be learnt"
                    self.problems.append(Problem(phase.at("losses"), cause))
            if training:
                self._check_optimizers(plan, {"generator": generator, "discriminator": discriminator}, terms)
            if initial and generator is not None:
                self.problems += initial_problems(plan, generator)
            if generator is None:
                return
            batch = plan.config.engine.batch if device == "meta" else 1
            own = self._asked(generator, discriminator, images, batch)
            if own is None or (self.adversarial and discriminator is None):
                return
            for phase in tried:
                with self._told_of(phase, images):
                    resized = images.sized(phase.size_of(images))
                    asked = own if resized == images else self._asked(generator, discriminator, resized, batch)
                    if asked is not None:
                        self._check_phase(plan, weighed[phase.number], asked)

    def _asked(
        self, generator: nn.Module, discriminator: nn.Module | None, images: PairSpec, count: int
    ) -> _Asked | None:
        sides = (images.source, images.target)
        source, target = (torch.zeros(count, side.channels, *images.size) for side in sides)
        extras = blank(images, count)
        made = self._generated(generator, source, target, extras)
        return _Asked(generator, discriminator, source, target, made, extras) if made is not None else None

    def _check_phase(self, plan: Plan, objective: Objective, asked: _Asked) -> None:
        """Let the discriminator judge, and ask each term of a phase what it comes to."""
        asked = asked if objective.adversarial else replace(asked, discriminator=None)
        asked = self._encoded(objective, asked)
        discriminator = asked.discriminator
        if discriminator is not None and not self._judged(discriminator, asked):
            return
        terms = [term for term in objective.terms if term.part.weight > 0]
        self._check_terms(terms, "generator", asked.view())
        self._check_terms(terms, "discriminator", asked.view(history=False))
        if plan.config.engine.sync_batch_norm and world().several and discriminator is not None:
            self._check_penalties(terms, asked, discriminator)

    @contextmanager
    def _told_of(self, phase: Phase, images: PairSpec) -> Iterator[None]:
        """Say of what is wrong in a phase alone where the config has the phase."""
        known, self.problems = self.problems, []
        yield
        same = {(problem.path, problem.cause) for problem in known}
        found = [problem for problem in self.problems if (problem.path, problem.cause) not in same]
        self.problems = known + [_in_phase(problem, phase, images) for problem in found]

    def _built(self, part: Part, images: PairSpec) -> Made:
        found: list[Problem] = []
        made = built(part, images, found)
        self.problems += found
        self.errors += [ConfigError(problem) for problem in found]
        return made

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
        for path, held in _frozen(plan):
            for key, patterns in held.items():
                network = networks.get(key)
                self.problems += frozen_problems(f"{path}.{key}", network, patterns) if network is not None else []
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
            self.problems.append(Problem(path, first_line(error), self._remedy if path in SEEN else ""))

    def _lacking(self, key: str, network: nn.Module, extras: Mapping[str, Tensor]) -> bool:
        """Tell of the extras that a network asks for, and nobody has."""
        names = lacking(network, extras, SEEN[key])
        known = f"it has {', '.join(extras)}" if extras else "it has none"
        for name in names:
            cause = f"its forward asks for {name!r}, which the data set does not have ({known})"
            remedy = (
                f"take a data set whose spec has it in its extras, write noise: {{{name}: 8}} for drawn numbers, "
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

    def _encoded(self, objective: Objective, asked: _Asked) -> _Asked:
        """Let terms make extras, which have the form of those whose place they take."""
        made: dict[str, Tensor] = {}
        for name, encode in objective.encoders.items():
            path, found = f"losses.{name}", dict[str, Tensor]()
            with self._reported(path):
                found = dict(encode(asked.source, asked.target, asked.extras))
            twice = sorted(found.keys() & made.keys())
            if twice:
                cause, remedy = f"makes {', '.join(twice)}, which another loss makes", "leave out one of the two"
                self.problems.append(Problem(path, cause, remedy))
            for key, value in found.items():
                wanted = asked.extras[key].shape if key in asked.extras else value.shape
                if value.shape != wanted:
                    cause = f"makes {key} of shape {list(value.shape)}, where {list(wanted)} is wanted"
                    self.problems.append(Problem(path, cause))
            made |= found
        return replace(asked, made=Generated(asked.made.fake, {**made, **asked.made.extras}))

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
        generate = self._generate if history else torch.no_grad()(self._generate)
        return View(self.source, self.target, made.fake, ask, generate=generate, extras=self.extras, made=made.extras)

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


def _tried(plan: Plan, *, training: bool) -> list[Phase]:
    """Return the phases to try, what the config says outside of them first: a mistake there is told of once."""
    return sorted(plan.phases if training else plan.phases[-1:], key=lambda phase: phase.path)


def _in_phase(problem: Problem, phase: Phase, images: PairSpec) -> Problem:
    """Name a problem by what the phase has of its own: its size, or its terms."""
    size = phase.size_of(images)
    if size != images.size:
        cause = f"{problem.path} at {times(size)}: {problem.cause}"
        return replace(problem, path=phase.at("size"), cause=cause)
    return replace(problem, path=phase.at(problem.path)) if problem.path.startswith("losses") else problem


def _frozen(plan: Plan) -> Iterator[tuple[str, Mapping[str, list[str]]]]:
    """Yield where the config says which parameters are frozen, and by player which."""
    yield "frozen", plan.config.frozen.patterns
    for index, phase in enumerate(plan.config.phases):
        yield f"phases.{index}.frozen", phase.frozen.patterns
