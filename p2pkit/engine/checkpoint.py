"""Checkpoints: weights, resolved config and everything needed to go on exactly; whole on disk or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from p2pkit.documents import read_mapping
from p2pkit.engine.assemble import seed_of
from p2pkit.engine.modes import Mode
from p2pkit.engine.parallel import gathered
from p2pkit.engine.processes import processes
from p2pkit.engine.settle import settled
from p2pkit.errors import ModelError, Problem
from p2pkit.types import ImageSpec, PairSpec

if TYPE_CHECKING:
    from p2pkit.engine.assemble import Assembly

GENERATOR = "generator.safetensors"
TRAINING = "training.safetensors"
STATISTICS = "recalibrated.safetensors"
STATE = "state.json"
Shape = tuple[int, ...]
Value = TypeVar("Value")
CONFIG = "run.yaml"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run has come.

    Args:
        step: Updates of the generator.
        epoch: Number of the epoch under way, from 0.
        batches: Batches of that epoch that are done, each of all processes together.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0


def save_checkpoint(
    folder: Path,
    assembly: Assembly,
    position: Position,
    config: Mapping[str, Any],
    statistics: Mapping[str, Tensor] | None = None,
    notes: Mapping[str, Any] | None = None,
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
    """
    random = gathered(_random_state(assembly.place.device))
    final = folder / f"step-{position.step:08d}"
    if not processes().main:
        return final
    state = {
        "pairs_per_batch": assembly.pairs_per_batch,
        "settled": settled(assembly.engine, assembly.place.device),
        "scaler": assembly.place.precision.scaler.state_dict(),
        **(notes or {}),
    }
    generator = assembly.evaluated.state_dict()
    training, images = _training_tensors(assembly, random), assembly.checked.images
    return write_checkpoint(final, Contents(generator, training, position, images, config, state, statistics))


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checkpoint holds.

    Args:
        generator: The generator's weights.
        training: What only training needs, under `generator.`, `discriminator.`, `optimizer.` and `random.`.
        position: How far the run has come.
        images: What its images are.
        config: The resolved config.
        state: More to note.
        statistics: Of batch norm, gathered anew; where that was asked for.
    """

    generator: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    position: Position
    images: PairSpec
    config: Mapping[str, Any]
    state: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Tensor] | None = None


def write_checkpoint(final: Path, contents: Contents) -> Path:
    """Write a checkpoint under a temporary name, sync it, and rename it.

    Args:
        final: The checkpoint's folder; one that is there is replaced.
        contents: What it holds.

    Returns:
        The checkpoint's folder.
    """
    partial = final.parent / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_contiguous(contents.generator), partial / GENERATOR)
    save_file(_contiguous(contents.training), partial / TRAINING)
    if contents.statistics is not None:
        save_statistics(contents.statistics, partial)
    known = {"format": 1, "position": asdict(contents.position), "images": asdict(contents.images)}
    (partial / STATE).write_text(json.dumps({**known, **contents.state}, indent=2), encoding="utf-8")
    (partial / CONFIG).write_text(yaml.safe_dump(dict(contents.config), sort_keys=False), encoding="utf-8")
    for path in (*partial.iterdir(), partial):
        _sync(path)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    _sync(final.parent)
    return final


def load_checkpoint(path: Path, assembly: Assembly) -> Position:
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
    _load(players.generator.network, _under(tensors, "generator"), path)
    _load_optimizer(players.generator.optimizer, _under(tensors, "optimizer.generator"))
    if players.discriminator is not None:
        _load(players.discriminator.network, _under(tensors, "discriminator"), path)
        _load_optimizer(players.discriminator.optimizer, _under(tensors, "optimizer.discriminator"))
    if players.average is not None:
        _load(players.average.network, _tensors(path / GENERATOR), path)
        players.average.count.copy_(tensors["average.count"])
    if assembly.place.precision.scaler.is_enabled():
        assembly.place.precision.scaler.load_state_dict(state["scaler"])
    position = Position(**state["position"])
    _set_random_state(_under(tensors, _random_name(processes().rank)), assembly, position.step)
    return _rescaled(position, state.get("pairs_per_batch", assembly.pairs_per_batch), assembly)


def _rescaled(position: Position, pairs: int, assembly: Assembly) -> Position:
    """Count in batches of another size; what does not come out even is seen again, so that no pair is left out."""
    now, accumulate = assembly.pairs_per_batch, assembly.checked.plan.config.engine.accumulate
    if pairs == now:
        return position
    return replace(position, batches=position.batches * pairs // (now * accumulate) * accumulate)


def load_generator(path: Path, generator: nn.Module) -> None:
    """Load a checkpoint's generator into a network."""
    _load(generator, _tensors(path / GENERATOR), path)


def load_statistics(path: Path) -> dict[str, Tensor]:
    """Load the batch-norm statistics that were gathered anew for a checkpoint's generator.

    Raises:
        ModelError: The checkpoint has none.
    """
    if (path / STATISTICS).is_file():
        return _tensors(path / STATISTICS)
    cause = "this checkpoint has no statistics of batch norm that were gathered anew"
    remedy = (
        f"gather them by `p2pkit evaluate {path} --modes --keep METRIC`, or use evaluate.batch_norm running or batch"
    )
    raise ModelError(Problem(str(path), cause, remedy))


def load_discriminator(path: Path, discriminator: nn.Module) -> None:
    """Load a checkpoint's discriminator into a network."""
    _load(discriminator, _under(_tensors(path / TRAINING), "discriminator"), path)


def shapes(path: Path) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of the tensors of a checkpoint's generator and discriminator, without reading them."""
    return _shapes(path / GENERATOR), _under(_shapes(path / TRAINING), "discriminator")


def keep_mode(path: Path, mode: Mode) -> None:
    """Make a mode a checkpoint's own: who translates, loads or evaluates it next uses it."""
    config = read_config(path)
    config["evaluate"] |= asdict(mode)
    partial = path / f".{CONFIG}.partial"
    partial.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    _sync(partial)
    partial.replace(path / CONFIG)


def save_statistics(statistics: Mapping[str, Tensor], folder: Path) -> None:
    """Write the batch-norm statistics that were gathered anew."""
    save_file(_contiguous(statistics), folder / STATISTICS)


def read_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's state; its `images` become a `PairSpec`."""
    try:
        state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
        images = state["images"]
        for side in ("source", "target"):
            palette = tuple(tuple(colour) for colour in images[side].pop("palette"))
            unlabelled = tuple(images[side].pop("unlabelled", ()))
            images[side] = ImageSpec(**images[side], palette=palette, unlabelled=unlabelled)
        state["images"] = PairSpec(**images)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(Problem(str(path / STATE), f"can't be used: {type(error).__name__}: {error}")) from None
    return state


def read_config(path: Path) -> dict[str, Any]:
    """Read the resolved config of a run's or checkpoint's folder."""
    return read_mapping(path / CONFIG, str(path / CONFIG), ModelError)


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE).is_file())


def prune(folder: Path, keep: int) -> None:
    """Remove all but the latest checkpoints of a run."""
    for path in checkpoints(folder)[:-keep]:
        shutil.rmtree(path)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _random_name(rank: int) -> str:
    return f"random.{rank}" if rank else "random"


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def _set_random_state(state: Mapping[str, Tensor], assembly: Assembly, step: int) -> None:
    """Go on with this process's random numbers; one that was not there before begins with some of its own."""
    if "cpu" not in state:
        torch.manual_seed(seed_of(assembly.checked.plan.config.engine.seed, processes().rank, step))
        return
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and assembly.place.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], assembly.place.device)


def _training_tensors(assembly: Assembly, random: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    players = assembly.players
    tensors = {f"{_random_name(rank)}.{k}": value for rank, state in enumerate(random) for k, value in state.items()}
    if players.average is not None:
        tensors["average.count"] = players.average.count
    for name, side in (("generator", players.generator), ("discriminator", players.discriminator)):
        if side is not None:
            tensors |= {f"{name}.{key}": value for key, value in side.network.state_dict().items()}
            for index, moments in side.optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in moments.items()}
    return tensors


def _under(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore moments; those of a run under way where they lie, since a captured step reads them there.

    In the layout of their parameters, too: a fused update walks both in the order of memory.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if optimizer.state:
        for number, parameter in enumerate(parameters):
            for moment, held in optimizer.state.get(parameter, {}).items():
                held.copy_(tensors.get(f"{number}.{moment}", torch.zeros(())))  # before the first step all are zero
        return
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, moment = key.partition(".")
        like = parameters[int(index)]
        laid_out = torch.empty_like(like, dtype=value.dtype).copy_(value) if value.shape == like.shape else value
        state.setdefault(int(index), {})[moment] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _load(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        cause = f"the weights don't fit the network: {error}"
        raise ModelError(Problem(str(path), cause, "was the checkpoint made by another version of a plugin?")) from None


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}", "use an earlier checkpoint")) from None


def _shapes(path: Path) -> dict[str, Shape]:
    try:
        with safe_open(path, "pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}")) from None


def _sync(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename never shows an empty one after a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
