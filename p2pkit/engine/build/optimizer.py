"""Optimisers of the players: groups of parameters, learning rates, and what an optimiser remembers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from p2pkit.config import Part, Plan
from p2pkit.config.model import GroupConfig, OptimizerConfig
from p2pkit.engine.step.objective import Term
from p2pkit.engine.step.players import Player
from p2pkit.errors import ConfigError, Problem
from p2pkit.types import RateSchedule
from p2pkit.untyped import Untyped

Named = dict[str, nn.Parameter]
LEARNING = 2
"""The plugin API since which losses learn: before, one might leave the weights of a network that it asks unfrozen."""

_SET_TO = "set_to"
"""Key of a group's learning rate as the host knows it."""


def make_optimizer(part: Part, config: OptimizerConfig, network: nn.Module) -> Optimizer:
    """Return the optimiser of a network's trainable parameters.

    Args:
        part: The optimiser.
        config: Its learning rate and groups.
        network: The network.

    Raises:
        ConfigError: A group matches none of the parameters, or it is no optimiser that was made.
    """
    grouped = _grouped(part, config, network)
    groups = [{"params": list(held.values()), **_options(config, group, held)} for group, held in grouped]
    optimizer: object = part.build(groups)
    if isinstance(optimizer, Optimizer):
        return optimizer
    cause = f"{part.component.full_name} made a {type(optimizer).__name__} where a torch.optim.Optimizer is wanted"
    raise ConfigError(Problem(part.path, cause, "let its factory return one"))


def optimizer_of_losses(plan: Plan) -> tuple[Part, OptimizerConfig]:
    """Return what updates the losses that learn: their own, or one like the generator's in a single group."""
    own, like = plan.config.optimizers.losses, plan.config.optimizers.generator
    if own is not None:
        return plan.optimizers["losses"], own
    return plan.optimizers["generator"], like.model_copy(update={"groups": []})


def learned_losses(terms: Sequence[Term]) -> dict[str, nn.Module]:
    """Return by name of the term the losses whose parameters are trained: those of plugins that know of it."""
    return {term.name: loss for term, loss in _with_parameters(terms) if term.part.component.api >= LEARNING}


def unlearned_losses(terms: Sequence[Term]) -> list[str]:
    """Return the names of terms whose parameters could be trained, and are not: their plugin is older than that."""
    return [term.name for term, _ in _with_parameters(terms) if term.part.component.api < LEARNING]


def _with_parameters(terms: Sequence[Term]) -> list[tuple[Term, nn.Module]]:
    return [(term, term.loss) for term in terms if isinstance(term.loss, nn.Module) and trainable(term.loss)]


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Return a network's trainable parameters, in its own order."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def learning(player: Player) -> list[nn.Parameter]:
    """Return the parameters that a player's optimiser has, in the network's own order, by which checkpoints count them.

    Those that a phase leaves as they are belong to it, too: in another phase they learn.
    """
    held = {id(parameter) for group in player.optimizer.param_groups for parameter in group["params"]}
    return [parameter for parameter in player.network.parameters() if id(parameter) in held]


def freeze(player: Player, patterns: Sequence[str]) -> None:
    """Let a player's optimiser move no parameter whose name matches, and all others that it has."""
    held, norms = set(map(id, learning(player))), _norms(player.network)
    for name, parameter in player.network.named_parameters():
        if id(parameter) in held:
            parameter.requires_grad_(not any(_matches(pattern, name, norms) for pattern in patterns))


def frozen_problems(path: str, network: nn.Module, patterns: Sequence[str]) -> list[Problem]:
    """List which patterns match no trainable parameter of a network, and whether all of them together match all.

    Args:
        path: Where the config has the patterns.
        network: The network.
        patterns: The patterns.
    """
    names, norms = [name for name, value in network.named_parameters() if value.requires_grad], _norms(network)
    idle = [pattern for pattern in patterns if not any(_matches(pattern, name, norms) for name in names)]
    if patterns and all(any(_matches(pattern, name, norms) for pattern in patterns) for name in names):
        remedy = "leave some parameters unfrozen; a whole discriminator rests by updates: {discriminator: 0}"
        return [Problem(path, "nothing would be left to learn", remedy)]
    return [_unmatched(path, pattern, network, norms) for pattern in idle]


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Set each group's learning rate to its own times a factor, in place where it lies on the device.

    Nothing is written where it is the same.
    """
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if group.get(_SET_TO) == rate:
            continue
        group[_SET_TO] = rate
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate_factor(plan: Plan, steps_per_epoch: int) -> Callable[[int], float]:
    """Return the factor of all learning rates by step: that of the schedule, after a warm-up.

    Args:
        plan: The run's plan.
        steps_per_epoch: Updates of an epoch.
    """
    schedule = plan.config.schedule
    if plan.schedule is None:
        raise ConfigError(plan.problems)
    shape: RateSchedule = plan.schedule.build(schedule.run_length(steps_per_epoch))
    return lambda step: float(shape(step)) * min(1.0, (step + 1) / (schedule.warm_up or 1))


def learning_rate(optimizer: Optimizer) -> float:
    """Return the learning rate of an optimiser's first group; the host waits only where it was never set."""
    group = optimizer.param_groups[0]
    return float(group.get(_SET_TO, group["lr"]))


def _options(config: OptimizerConfig, group: GroupConfig | None, held: Named) -> dict[str, Untyped]:
    rate = config.lr * (group.lr_factor if group else 1)
    own = {} if group is None or group.weight_decay is None else {"weight_decay": group.weight_decay}
    device = next(iter(held.values())).device
    # A captured step reads it where it lies.
    return {"lr": torch.tensor(rate, device=device) if device.type == "cuda" else rate, "initial_lr": rate, **own}


def _grouped(part: Part, config: OptimizerConfig, network: nn.Module) -> Sequence[tuple[GroupConfig | None, Named]]:
    """Return the parameters that no group matches, and then each group with its own."""
    left = {name: value for name, value in network.named_parameters() if value.requires_grad}
    norms, problems = _norms(network), list[Problem]()
    groups: list[tuple[GroupConfig, Named]] = []
    for index, group in enumerate(config.groups):
        held = {name: left.pop(name) for name in list(left) if _matches(group.match, name, norms)}
        groups.append((group, held))
        if not held:
            problems.append(_unmatched(f"{part.path}.groups.{index}.match", group.match, network, norms))
    if problems:
        raise ConfigError(problems)
    return [*([(None, left)] if left else []), *groups]


def _matches(pattern: str, name: str, norms: set[str]) -> bool:
    if pattern == "norms":
        return name in norms
    return name.rpartition(".")[2] == "bias" if pattern == "biases" else fnmatchcase(name, pattern)


def _norms(network: nn.Module) -> set[str]:
    """Return the names of the parameters of normalisation layers, which torch and others call so."""
    layers = [(name, module) for name, module in network.named_modules() if "norm" in type(module).__name__.lower()]
    own = ((name, key) for name, module in layers for key, _ in module.named_parameters(recurse=False))
    return {f"{name}.{key}".lstrip(".") for name, key in own}


def _unmatched(path: str, pattern: str, network: nn.Module, norms: set[str]) -> Problem:
    names = [name for name, value in network.named_parameters() if value.requires_grad]
    if any(_matches(pattern, name, norms) for name in names):
        return Problem(
            path, f"{pattern!r} matches only parameters of earlier groups", "put it before these, or leave it out"
        )
    near = difflib.get_close_matches(pattern.replace("*", ""), names, n=3, cutoff=0.0)
    remedy = f"nearest to it are {', '.join(near)}; patterns are those of files: encoder.*"
    return Problem(path, f"no trainable parameter matches {pattern!r}", remedy)
