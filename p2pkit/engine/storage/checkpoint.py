"""Checkpoints on disk: weights, resolved config and state; whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from p2pkit.atomic_files import atomic_file, atomic_folder
from p2pkit.engine.storage.layout import CONFIG, GENERATOR, STATE, STATISTICS, TRAINING
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.types import ImageSpec, PairSpec

Shape = tuple[int, ...]
Value = TypeVar("Value")


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
    position: Progress
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
    known = {"format": 1, "position": asdict(contents.position), "images": asdict(contents.images)}
    with atomic_folder(final) as partial:
        save_file(_contiguous(contents.generator), partial / GENERATOR)
        save_file(_contiguous(contents.training), partial / TRAINING)
        if contents.statistics is not None:
            save_statistics(contents.statistics, partial)
        (partial / STATE).write_text(json.dumps({**known, **contents.state}, indent=2), encoding="utf-8")
        write_config(partial, contents.config)
    return final


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


def tensor_shapes(path: Path) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of the tensors of a checkpoint's generator and discriminator, without reading them."""
    return _shapes(path / GENERATOR), _under(_shapes(path / TRAINING), "discriminator")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved config of a run's or checkpoint's folder."""
    (folder / CONFIG).write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")


def keep_mode(path: Path, mode: Mapping[str, str]) -> None:
    """Make a mode a checkpoint's own: who translates, loads or evaluates it next uses it."""
    config = read_config(path)
    config["evaluate"] |= mode
    with atomic_file(path / CONFIG) as partial:
        partial.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


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
        raise ModelError(Problem(str(path / STATE), f"can't be used: {first_line(error, typed=True)}")) from None
    return state


def read_config(path: Path) -> dict[str, Any]:
    """Read the resolved config of a run's or checkpoint's folder."""
    try:
        config = yaml.safe_load((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(Problem(str(path / CONFIG), f"can't be read: {error}")) from None
    assert isinstance(config, dict)
    return config


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _under(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


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
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  safetensors' file can't be iterated
    except (OSError, SafetensorError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}")) from None
