"""From a checked plan to networks, optimisers and the step."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from p2pkit.config import Part, Plan
from p2pkit.config.model import EngineConfig, OptimizerConfig
from p2pkit.engine.average import MovingAverage
from p2pkit.engine.batch_norm import share_statistics
from p2pkit.engine.check import Checked
from p2pkit.engine.exchange import wrapped
from p2pkit.engine.objective import Objective, Term
from p2pkit.engine.precision import Place, allow_tf32, choose_place
from p2pkit.engine.processes import processes
from p2pkit.engine.step import Players, Side, TrainingStep, Update
from p2pkit.types import ImageSpec, PairSpec


@dataclass(frozen=True)
class Assembly:
    """What a run works with.

    Args:
        checked: The plan and its data.
        engine: The engine's config, as it is in force.
        place: Where and how the networks compute.
        players: Networks, optimisers and the generator's average.
        step: The training step.
        augmentations: Changes of training batches, in order.
        update: How the loop takes a step: the step itself, or what replays it.
        graph: Whether the step is one CUDA graph: `active`, or `off` and why.
    """

    checked: Checked
    engine: EngineConfig
    place: Place
    players: Players
    step: TrainingStep
    augmentations: tuple[Any, ...]
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
        return self.checked.plan.config.engine.batch * processes().count

    def trial(self) -> list[tuple[Tensor, Tensor]]:
        """Return random batches of the run's form, to try the step on; for an assembly that is not trained further.

        Shape: each image (B, C, H, W) in [-1, 1].
        """
        images = self.checked.images

        def random(spec: ImageSpec) -> Tensor:
            size = (self.engine.batch, spec.channels, images.height, images.width)
            image = torch.rand(size, device=self.place.device) * 2 - 1
            return image.contiguous(memory_format=self.place.memory_format)

        return [(random(images.source), random(images.target)) for _ in range(self.engine.accumulate)]

    def facts(self) -> dict[str, Any]:
        """Return what the engine settled, for trackers."""
        facts: dict[str, Any] = {**self.place.facts(), "compile": self.engine.compile == "on"}
        facts["cuda_graph"] = self.graph
        facts["processes"] = processes().count
        facts["global_batch"] = self.pairs_per_batch * self.checked.plan.config.engine.accumulate
        facts["generator_parameters"] = count_parameters(self.players.generator.network)
        if self.players.discriminator is not None:
            facts["discriminator_parameters"] = count_parameters(self.players.discriminator.network)
        return facts


def assemble(checked: Checked, engine: EngineConfig | None = None) -> Assembly:
    """Build a run, seeded.

    Args:
        checked: The plan and its data.
        engine: What is in force instead of the plan's own engine config.

    Returns:
        Everything a run works with, on its device.
    """
    plan = checked.plan
    engine = engine or plan.config.engine
    seed_everything(engine.seed, deterministic=engine.deterministic)
    assert plan.generator is not None
    generator: nn.Module = plan.generator.build(checked.images)
    discriminator: nn.Module | None = None
    if checked.adversarial:
        assert plan.discriminator is not None
        discriminator = plan.discriminator.build(checked.images)
    networks = [network for network in (generator, discriminator) if network is not None]
    place = choose_place(engine, *networks)
    if place.device.type == "cuda":
        allow_tf32(not engine.deterministic)
    for network in networks:
        if engine.sync_batch_norm:
            share_statistics(network, place.device)
        place.put(network)
        if engine.compile == "on":
            network.compile()
    players = _players(plan, generator, discriminator, checked.images)
    objective = Objective(_terms(plan, checked.images, place.device), engine.discriminator_factor)
    generator_first = engine.order == "generator_first"
    step = TrainingStep(players, objective, place.precision, generator_first=generator_first, clip=engine.clip)
    augmentations = tuple(part.build(checked.images) for part in plan.augment)
    if processes().rank:  # one seed gave all processes the same weights; dropout and augmentation must differ
        seed_everything(seed_of(engine.seed, processes().rank), deterministic=engine.deterministic)
    return Assembly(checked, engine, place, players, step, augmentations, update=step)


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch, and allow deterministic algorithms only where that is asked for."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  plugins may use the global generator
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else matrix products on a GPU are refused
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


def seed_of(seed: int, rank: int, step: int = 0) -> int:
    """Return a seed for a process's own random numbers, from a step on."""
    return int(np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)[0] >> 1)


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


def _players(plan: Plan, generator: nn.Module, discriminator: nn.Module | None, images: PairSpec) -> Players:
    optimizers = plan.config.optimizers
    ema = plan.config.engine.ema
    adversary = None
    if discriminator is not None:
        adversary = _side(discriminator, plan.discriminator, optimizers.discriminator, images)
    average = MovingAverage(generator, ema) if ema else None
    return Players(_side(generator, plan.generator, optimizers.generator, images), adversary, average)


def _side(network: nn.Module, part: Part | None, optimizer: OptimizerConfig, images: PairSpec) -> Side:
    assert part is not None
    return Side(network, _optimizer(optimizer, network), wrapped(network, part, images))


def _optimizer(config: OptimizerConfig, network: nn.Module) -> Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.use]
    device = parameters[0].device
    cuda = device.type == "cuda"
    return kind(
        parameters,
        lr=torch.tensor(config.lr, device=device) if cuda else config.lr,  # a captured step reads it where it lies
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=cuda or device.type == "cpu",
        capturable=cuda,
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set an optimiser's learning rate, in place where it lies on the device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
