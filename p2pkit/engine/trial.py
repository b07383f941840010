"""The forward passes of one step, and what is wrong with them: nothing is trained, and mostly nothing computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from p2pkit.config import Part, Plan
from p2pkit.config.model import OptimizerConfig
from p2pkit.config.phases import Phase
from p2pkit.engine.build.init_from import initial_problems
from p2pkit.engine.build.optimizer import frozen_problems, learned_losses, make_optimizer, optimizer_of_losses
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.objective import Objective, PlayerName, Term
from p2pkit.errors import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit.types import PairSpec, Verdict, View, optional
from p2pkit.untyped import Made


def built(part: Part, images: PairSpec | None, problems: list[Problem]) -> Made:
    """Build a component.

    Args:
        part: What makes it.
        images: What the run's images are.
        problems: Where to add what is wrong with it.

    Returns:
        What was made; None where it can't be used.
    """
    try:
        made: Made = part.build(images)
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


class Trial:
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
            own = self._batch(images, (images.height, images.width), batch)
            fake = self._generated(generator, *own)
            if fake is None or (self.adversarial and discriminator is None):
                return
            for phase in tried:
                size = phase.height_and_width(images)
                with self._told_of(phase, images):
                    if size != (images.height, images.width):
                        other = self._batch(images, size, batch)
                        made = self._generated(generator, *other)
                    else:
                        other, made = own, fake
                    objective = weighed[phase.number]
                    if made is not None:
                        judge = discriminator if objective.adversarial else None
                        self._check_phase(plan, objective, generator, judge, (*other, made))

    def _batch(self, images: PairSpec, size: tuple[int, int], count: int) -> tuple[Tensor, Tensor]:
        sides = (images.source, images.target)
        source, target = (torch.zeros(count, side.channels, *size) for side in sides)
        return source, target

    def _check_phase(
        self,
        plan: Plan,
        objective: Objective,
        generator: nn.Module,
        discriminator: nn.Module | None,
        images: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        """Let the discriminator judge (source, target, fake), and ask each term of a phase what it comes to."""
        source, target, fake = images
        if discriminator is not None and not self._judged(discriminator, source, fake):
            return
        terms = [term for term in objective.terms if term.part.weight > 0]
        self._check_terms(terms, "generator", View(source, target, fake, discriminator, generate=generator))
        without = View(source, target, fake.detach(), discriminator, generate=torch.no_grad()(generator))
        self._check_terms(terms, "discriminator", without)
        if plan.config.engine.sync_batch_norm and world().several and discriminator is not None:
            view = View(source, target, fake.detach(), discriminator, generate=generator)
            self._check_penalties(terms, view, discriminator)

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
        made: Made = built(part, images, found)
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
            self.problems.append(Problem(path, first_line(error)))

    def _generated(self, generator: nn.Module, source: Tensor, target: Tensor) -> Tensor | None:
        fake: Made = target
        with self._reported("generator"):
            fake = generator(source)
        if not isinstance(fake, Tensor):
            cause = f"returned a {type(fake).__name__} where a tensor is wanted"
            self.problems.append(Problem("generator", cause, "let its forward return the image alone"))
        elif fake.shape != target.shape:
            made, wanted = _shape(fake), _shape(target)
            cause = f"makes images of shape {made}, where the data has {wanted} (channels x height x width)"
            remedy = (
                "choose a generator whose output has the target's channels and size, or another dataset.params.size"
            )
            self.problems.append(Problem("generator", cause, remedy))
        elif fake is not target:
            return fake
        return None

    def _judged(self, discriminator: nn.Module, source: Tensor, fake: Tensor) -> bool:
        verdict: Made = None
        with self._reported("discriminator"):
            verdict = discriminator(source, fake)
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

    def _check_penalties(self, terms: list[Term], view: View, discriminator: nn.Module) -> None:
        """Find terms that ask for a gradient's gradient, which torch's batch norm over several processes can't give."""
        asked: list[bool] = []

        def watched(source: Tensor, image: Tensor) -> Verdict:
            asked.append(image.requires_grad)
            verdict: Verdict = discriminator(source, image)
            return verdict

        norms = any(isinstance(module, _BatchNorm) for module in discriminator.modules())
        for term in (term for term in terms if norms and term.judges("discriminator")):
            asked.clear()
            with suppress(Exception):  # which is reported already
                term.value("discriminator", View(view.source, view.target, view.fake, watched))
            if any(asked):
                cause = f"losses.{term.name} differentiates a gradient, which batch norm over several processes can't"
                remedy = "leave it out, or choose another norm for the discriminator"
                self.problems.append(Problem("engine.sync_batch_norm", cause, remedy))


def _tried(plan: Plan, *, training: bool) -> list[Phase]:
    """Return the phases to try, what the config says outside of them first: a mistake there is told of once."""
    return sorted(plan.phases if training else plan.phases[-1:], key=lambda phase: phase.path)


def _in_phase(problem: Problem, phase: Phase, images: PairSpec) -> Problem:
    """Name a problem by what the phase has of its own: its size, or its terms."""
    size = phase.height_and_width(images)
    if size != (images.height, images.width):
        cause = f"{problem.path} at {size[0]} x {size[1]}: {problem.cause}"
        return replace(problem, path=phase.at("size"), cause=cause)
    return replace(problem, path=phase.at(problem.path)) if problem.path.startswith("losses") else problem


def _frozen(plan: Plan) -> Iterator[tuple[str, Mapping[str, list[str]]]]:
    """Yield where the config says which parameters are frozen, and by player which."""
    yield "frozen", plan.config.frozen.patterns
    for index, phase in enumerate(plan.config.phases):
        yield f"phases.{index}.frozen", phase.frozen.patterns


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
