"""From a checked plan to networks, optimisers and the step, which each phase of a run has anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from p2pkit.config import Part, Plan
from p2pkit.config.model import EngineConfig
from p2pkit.config.phases import Phase
from p2pkit.engine.build.optimizer import freeze, learned_losses, make_optimizer, optimizer_of_losses
from p2pkit.engine.build.parameters import count_parameters
from p2pkit.engine.build.seeding import derive_seed, seed_everything
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.device.placement import Placement, choose_placement
from p2pkit.engine.device.precision import allow_tf32
from p2pkit.engine.distributed.ddp import average_gradients, wrap_ddp
from p2pkit.engine.distributed.sync_batch_norm import convert_sync_batch_norm
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.cuda_graph import GraphedStep
from p2pkit.engine.step.ema import EMA
from p2pkit.engine.step.forward import ForwardPasses, PairTensors
from p2pkit.engine.step.objective import Objective, Term
from p2pkit.engine.step.players import Player, Players
from p2pkit.engine.step.scalars import Scalars
from p2pkit.engine.step.training_step import TrainingStep
from p2pkit.engine.step.turns import Turns
from p2pkit.extras.values import some
from p2pkit.types import DiscriminatorLoss, GeneratorLoss, PairAugmentation, PairSpec
from p2pkit.untyped import Json

Update = Callable[[Sequence[PairTensors], int], Scalars]


@dataclass(frozen=True)
class Assembly:
    """What a run works with in one of its phases.

    Args:
        checked: The plan and its data.
        phase: The phase.
        engine: The engine's config, as it is in force.
        place: Where and how the networks compute.
        players: Networks, optimisers and the generator's average; all of the run, whoever takes part now.
        step: The training step.
        augmentations: Changes of training batches, in order.
        update: How the loop takes a step: the step itself, or what replays it.
        graph: Whether the step is one CUDA graph: `active`, or `off` and why.
    """

    checked: ValidatedRun
    phase: Phase
    engine: EngineConfig
    place: Placement
    players: Players
    step: TrainingStep
    augmentations: tuple[PairAugmentation, ...]
    update: Update
    graph: str = "off"

    @property
    def evaluated(self) -> nn.Module:
        """The generator that counts: its average where there is one."""
        average = self.players.average
        return average.network if average else self.players.generator.network

    @property
    def pairs_per_batch(self) -> int:
        """Pairs of one batch of all processes."""
        return self.checked.plan.config.engine.batch * world().count

    def trial(self) -> list[PairTensors]:
        """Return random batches of the run's form, to try the step on; for an assembly that is not trained further.

        Shape: each image (B, C, H, W) in [-1, 1].
        """
        images = self.checked.spec.sized(self.phase.size_of(self.checked.spec))
        specs = images.source, images.target, *(images.extras[name] for name in sorted(images.extras))
        with torch.device(self.place.device):
            return [
                tuple(self.place.lay(some(spec, images, self.engine.batch)) for spec in specs)
                for _ in range(self.batches_per_step)
            ]

    @property
    def batches_per_step(self) -> int:
        """Batches that a step takes."""
        return self.engine.accumulate * self.phase.updates.groups

    def enter(self, phase: Phase) -> Assembly:
        """Return the run as it is in another phase: same networks and optimisers, other weights, pace and frozen parts.

        Args:
            phase: The phase; a step that was captured in the present one can't be replayed any more.
        """
        if isinstance(self.update, GraphedStep):
            self.update.release()
        players = _ready(self.players, phase, self.checked)
        step = _step(players, self.step.objective, phase, self.checked, self.engine, self.place)
        update = GraphedStep(step) if isinstance(self.update, GraphedStep) else step
        return replace(self, phase=phase, players=players, step=step, update=update)

    def facts(self) -> dict[str, Json]:
        """Return what the engine settled, for trackers."""
        facts: dict[str, Json] = {**self.place.facts(), "compile": self.engine.compile == "on"}
        facts["cuda_graph"] = self.graph
        facts["processes"] = world().count
        facts["global_batch"] = self.pairs_per_batch * self.checked.plan.config.engine.accumulate
        for name, player in self.players.named.items():
            count = count_parameters(player.network)
            facts[f"{name}_parameters"] = count.total
            facts |= {f"{name}_trainable_parameters": count.trainable} if count.frozen else {}
        return facts


def assemble(checked: ValidatedRun, engine: EngineConfig | None = None) -> Assembly:
    """Build a run, seeded.

    Args:
        checked: The plan and its data.
        engine: What is in force instead of the plan's own engine config.

    Returns:
        Everything a run works with, on its device; in its last phase, which is what the config says as a whole.
    """
    plan = checked.plan
    engine = engine or plan.config.engine
    seed_everything(engine.seed, deterministic=engine.deterministic)
    generator: nn.Module = checked.generator.build(checked.spec)
    discriminator: nn.Module | None = checked.discriminator.build(checked.spec) if checked.discriminator else None
    if engine.sync_batch_norm:
        generator = convert_sync_batch_norm(generator)
        discriminator = convert_sync_batch_norm(discriminator) if discriminator is not None else None
    networks = [network for network in (generator, discriminator) if network is not None]
    place = choose_placement(engine, *networks)
    if place.device.type == "cuda":
        allow_tf32(not engine.deterministic)
    for network in networks:
        place.put(network)
        if engine.compile == "on":
            network.compile()
    terms = _terms(plan, checked.spec, place.device)
    phase = plan.phases[-1]
    players = _ready(_players(checked, generator, discriminator, terms), phase, checked)
    step = _step(players, Objective(terms, engine.discriminator_factor), phase, checked, engine, place)
    augmentations = tuple(part.build(checked.spec) for part in plan.augment)
    if world().rank:  # one seed gave all processes the same weights; dropout and augmentation must differ
        seed_everything(derive_seed(engine.seed, world().rank), deterministic=engine.deterministic)
    return Assembly(checked, phase, engine, place, players, step, augmentations, update=step)


def _step(
    players: Players,
    objective: Objective,
    phase: Phase,
    checked: ValidatedRun,
    engine: EngineConfig,
    place: Placement,
) -> TrainingStep:
    """Return a phase's step."""
    weighed = objective.weighing(phase.terms)
    taking_part = players.having_a_say(weighed)
    extras = sorted(checked.spec.extras)
    forward = ForwardPasses(taking_part, place.precision, extras, weighed, mask=checked.spec.mask)
    turns = Turns(engine.order == "generator_first", phase.updates)
    return TrainingStep(taking_part, weighed, forward, turns, engine.clip)


def _ready(players: Players, phase: Phase, checked: ValidatedRun) -> Players:
    """Freeze what a phase leaves as it is, before what exchanges gradients asks which parameters learn."""

    def ready(player: Player, part: Part, name: str) -> Player:
        freeze(player, phase.frozen.get(name, ()))
        asked = checked.generator if name == "discriminator" else None
        return replace(player, wrapped=wrap_ddp(player.network, part, checked.spec, asked))

    adversary = players.discriminator
    if adversary is not None and checked.discriminator is not None:
        adversary = ready(adversary, checked.discriminator, "discriminator")
    return replace(players, generator=ready(players.generator, checked.generator, "generator"), discriminator=adversary)


def _terms(plan: Plan, images: PairSpec, device: torch.device) -> list[Term]:
    terms = []
    for name, part in plan.losses.items():
        loss: GeneratorLoss | DiscriminatorLoss = part.build(images)
        if isinstance(loss, nn.Module):
            loss.to(device)
        terms.append(Term(name, part, loss))
    return terms


def _players(
    checked: ValidatedRun, generator: nn.Module, discriminator: nn.Module | None, terms: Sequence[Term]
) -> Players:
    config = checked.plan.config

    def player(network: nn.Module, key: Literal["generator", "discriminator"]) -> Player:
        return Player(network, make_optimizer(checked.plan.optimizers[key], getattr(config.optimizers, key), network))

    adversary = player(discriminator, "discriminator") if discriminator is not None else None
    average = EMA(generator, config.engine.ema) if config.engine.ema else None
    learned = {
        name: Player(loss, make_optimizer(*optimizer_of_losses(checked.plan), loss), averaged=average_gradients)
        for name, loss in learned_losses(terms).items()
    }
    return Players(player(generator, "generator"), adversary, average, learned)
