"""From a run under way to a checkpoint, and back to the bit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from p2pkit.engine.build.autotune import tuned_settings
from p2pkit.engine.build.optimizer import learning
from p2pkit.engine.build.seeding import derive_seed
from p2pkit.engine.distributed.collectives import all_gather, raise_on_all_ranks
from p2pkit.engine.distributed.world import world
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.step.players import Player
from p2pkit.engine.storage.checkpoint import Contents, _load, _tensors, _under, write_checkpoint
from p2pkit.engine.storage.layout import GENERATOR, PLUGINS, TRAINING, checkpoint_name
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.storage.state import read_state

_PLAYERS = {"generator", "discriminator"}


def save_checkpoint(
    folder: Path,
    assembly: Assembly,
    position: Progress,
    config: Plain,
    statistics: Mapping[str, Tensor] | None = None,
    notes: Plain | None = None,
) -> Path:
    """Write a run's checkpoint.

    The main process does; the others give it the state of their random numbers.

    Args:
        folder: The run's folder of checkpoints.
        assembly: The run.
        position: How far it has come.
        config: The resolved config.
        statistics: Batch norm's, gathered anew, where the config's mode asks for them.
        notes: What the state says besides, as JSON can hold it.

    Returns:
        The checkpoint's folder.

    Raises:
        StorageError: It can't be written; the same in all processes.
    """
    states = all_gather(_random_state(assembly.place.device))
    final = folder / checkpoint_name(position.step)
    state = {
        "pairs_per_batch": assembly.pairs_per_batch,
        "settled": tuned_settings(assembly.engine, assembly.place.device),
        "scaler": assembly.place.precision.scaler.state_dict(),
        **(notes or {}),
    }

    def write() -> None:
        if world().main:
            generator = assembly.evaluated.state_dict()
            training, images = training_tensors(assembly, states), assembly.checked.spec
            plugins = folder.parent / PLUGINS
            held = Contents(generator, training, position, images, config, state, statistics, plugins)
            write_checkpoint(final, held)

    raise_on_all_ranks(write)
    return final


def load_checkpoint(path: Path, assembly: Assembly) -> Progress:
    """Put a run back to where it was, in every process.

    Args:
        path: The checkpoint's folder.
        assembly: The run, built from the checkpoint's config.

    Returns:
        How far the run had come, in batches of as many pairs as they have now.
    """
    state = read_state(path)
    tensors = _tensors(path / TRAINING)
    players = assembly.players
    for name in _PLAYERS & players.named.keys():
        _load(players.named[name].network, _under(tensors, name), path)
    for name, loss in assembly.step.objective.modules.items():
        _load(loss, _under(tensors, name), path, whole=False)  # a term may be new, and what is constant isn't held
    for name, player in players.named.items():
        _load_optimizer(player, _under(tensors, f"optimizer.{name}"))
    if players.average is not None:
        _load(players.average.network, _tensors(path / GENERATOR), path)
        players.average.count.copy_(tensors["average.count"])
    if assembly.place.precision.scaler.is_enabled():
        assembly.place.precision.scaler.load_state_dict(state["scaler"])
    position = Progress(**state["position"])
    _set_random_state(_under(tensors, _random_name(world().rank)), assembly, position.step)
    return _rescaled(position, state.get("pairs_per_batch", assembly.pairs_per_batch), assembly)


def _rescaled(position: Progress, pairs: int, assembly: Assembly) -> Progress:
    """Count in batches of another size; what does not come out even is seen again, so that no pair is left out."""
    now, accumulate = assembly.pairs_per_batch, assembly.checked.plan.config.engine.accumulate
    if pairs == now:
        return position
    return replace(position, batches=position.batches * pairs // (now * accumulate) * accumulate)


def _random_name(rank: int) -> str:
    return f"random.{rank}" if rank else "random"


def _random_state(device: torch.device) -> dict[str, Tensor]:
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002  plugins may use the global generator
    state = {
        "cpu": torch.get_rng_state(),
        "python": torch.tensor(words),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*map(int, keys), place, has_gauss]),
        "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
    }
    return {**state, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def _set_random_state(state: Mapping[str, Tensor], assembly: Assembly, step: int) -> None:
    """Go on with this process's random numbers; one that was not there before begins with some of its own."""
    if "cpu" not in state:
        torch.manual_seed(derive_seed(assembly.checked.plan.config.engine.seed, world().rank, step))
        return
    torch.set_rng_state(state["cpu"])
    if "python" in state:  # checkpoints of before don't hold it
        random.setstate((3, tuple(state["python"].tolist()), next(iter(state["python_gauss"].tolist()), None)))
        *keys, place, has_gauss = state["numpy"].tolist()
        cached = state["numpy_gauss"].item()
        np.random.set_state(("MT19937", np.array(keys, np.uint32), place, has_gauss, cached))  # noqa: NPY002  as above
    if "cuda" in state and assembly.place.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], assembly.place.device)


def training_tensors(assembly: Assembly, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return all that a run goes on with, by name.

    Args:
        assembly: The run.
        states: The state of each process's random numbers.
    """
    players = assembly.players
    tensors = {f"{_random_name(rank)}.{k}": value for rank, state in enumerate(states) for k, value in state.items()}
    if players.average is not None:
        tensors["average.count"] = players.average.count
    networks = {name: player.network.state_dict() for name, player in players.named.items()}
    for name, held in (networks | assembly.step.objective.states()).items():
        tensors |= {f"{name}.{key}": value for key, value in held.items()}
    for name, player in players.named.items():
        for index, parameter in enumerate(learning(player)):
            for key, value in player.optimizer.state.get(parameter, {}).items():
                if value is not None:
                    tensors[f"optimizer.{name}.{index}.{key}"] = torch.as_tensor(value)
    return tensors


def _load_optimizer(player: Player, tensors: Mapping[str, Tensor]) -> None:
    """Restore moments; those of a run under way where they lie, since a captured step reads them there.

    In the layout of their parameters, too: a fused update walks both in the order of memory.
    """
    parameters, optimizer = learning(player), player.optimizer
    if optimizer.state:
        for number, parameter in enumerate(parameters):
            held = optimizer.state.get(parameter, {})
            for moment, value in held.items():
                saved = tensors.get(f"{number}.{moment}", torch.zeros(()))  # before the first step all are zero
                if isinstance(value, Tensor):
                    value.copy_(saved)
                elif value is not None:
                    held[moment] = type(value)(saved.item())
        return
    places = {parameter: place for place, parameter in enumerate(_in_groups(optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, moment = key.partition(".")
        like = parameters[int(index)]
        laid_out = torch.empty_like(like, dtype=value.dtype).copy_(value) if value.shape == like.shape else value
        state.setdefault(places[like], {})[moment] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _in_groups(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return an optimiser's parameters in its own order, group after group."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
