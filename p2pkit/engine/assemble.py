"""From a checked plan to networks, optimisers and the step."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from p2pkit.config import Part, Plan
from p2pkit.config.model import OptimizerConfig
from p2pkit.engine.average import MovingAverage
from p2pkit.engine.check import Checked
from p2pkit.engine.objective import Objective, Term
from p2pkit.engine.precision import Place, choose_place
from p2pkit.engine.step import Players, Side, TrainingStep
from p2pkit.types import PairSpec


@dataclass(frozen=True)
class Assembly:
    """What a run works with.

    Args:
        checked: The plan and its data.
        place: Where and how the networks compute.
        players: Networks, optimisers and the generator's average.
        step: The training step.
        augmentations: Changes of training batches, in order.
    """

    checked: Checked
    place: Place
    players: Players
    step: TrainingStep
    augmentations: tuple[Any, ...]

    @property
    def evaluated(self) -> nn.Module:
        """The generator that counts: its average where there is one."""
        average = self.players.average
        return average.network if average else self.players.generator.network

    def facts(self) -> dict[str, Any]:
        """Return what the engine settled, for trackers."""
        facts: dict[str, Any] = self.place.facts()
        facts["generator_parameters"] = count_parameters(self.players.generator.network)
        if self.players.discriminator is not None:
            facts["discriminator_parameters"] = count_parameters(self.players.discriminator.network)
        return facts


def assemble(checked: Checked) -> Assembly:
    """Build a run, seeded.

    Args:
        checked: The plan and its data.

    Returns:
        Everything a run works with, on its device.
    """
    plan = checked.plan
    engine = plan.config.engine
    seed_everything(engine.seed, deterministic=engine.deterministic)
    assert plan.generator is not None
    generator: nn.Module = plan.generator.build(checked.images)
    discriminator: nn.Module | None = None
    if checked.adversarial:
        assert plan.discriminator is not None
        discriminator = plan.discriminator.build(checked.images)
    networks = [network for network in (generator, discriminator) if network is not None]
    place = choose_place(engine, *networks)
    for network in networks:
        place.put(network)
        if engine.compile:
            network.compile()
    players = _players(plan, generator, discriminator)
    objective = Objective(_terms(plan, checked.images, place.device), engine.discriminator_factor)
    generator_first = engine.order == "generator_first"
    step = TrainingStep(players, objective, place.precision, generator_first=generator_first, clip=engine.clip)
    augmentations = tuple(part.build(checked.images) for part in plan.augment)
    return Assembly(checked, place, players, step, augmentations)


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch, and allow deterministic algorithms only where that is asked for."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  plugins may use the global generator
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable values of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def parameter_count(part: Part, images: PairSpec) -> int:
    """Return the size of a network without allocating it."""
    with torch.device("meta"):
        return count_parameters(part.build(images))


def _terms(plan: Plan, images: PairSpec, device: torch.device) -> list[Term]:
    terms = []
    for name, part in plan.losses.items():
        loss = part.build(images)
        loss = loss.to(device) if isinstance(loss, nn.Module) else loss
        terms.append(Term(name, loss, part.weight, part.every))
    return terms


def _players(plan: Plan, generator: nn.Module, discriminator: nn.Module | None) -> Players:
    optimizers = plan.config.optimizers
    ema = plan.config.engine.ema
    adversary = Side(discriminator, _optimizer(optimizers.discriminator, discriminator)) if discriminator else None
    average = MovingAverage(generator, ema) if ema else None
    return Players(Side(generator, _optimizer(optimizers.generator, generator)), adversary, average)


def _optimizer(config: OptimizerConfig, network: nn.Module) -> Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.use]
    fused = parameters[0].device.type in ("cpu", "cuda")
    return kind(
        parameters, lr=config.lr, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay, fused=fused
    )
