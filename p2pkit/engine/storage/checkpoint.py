"""Checkpoints on disk: weights, resolved config and state; whole or not there."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from p2pkit.atomic_files import atomic_file, atomic_folder, require_room, writing
from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, CONFIG, GENERATOR, PLUGINS, STATISTICS, TRAINING
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.storage.state import REMEDY, described, read_state, record, records, verify, write_state
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.types import PairSpec
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import read_mapping

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
        plugins: A folder with the one-file plugins that the config names; need not be there.
    """

    generator: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    position: Progress
    images: PairSpec
    config: Plain
    state: Plain = field(default_factory=dict)
    statistics: Mapping[str, Tensor] | None = None
    plugins: Path | None = None


def write_checkpoint(final: Path, contents: Contents) -> Path:
    """Write a checkpoint under a temporary name, sync it, and rename it.

    Args:
        final: The checkpoint's folder; one that is there is replaced.
        contents: What it holds.

    Returns:
        The checkpoint's folder.

    Raises:
        StorageError: There is no room for it, or the disk refuses it.
    """
    tensors = (*contents.generator.values(), *contents.training.values(), *(contents.statistics or {}).values())
    require_room(final, sum(tensor.nbytes for tensor in tensors))
    known = {"format": 1, "position": asdict(contents.position), "images": described(contents.images)}
    with writing(final), atomic_folder(final) as partial:
        save_file(_contiguous(contents.generator), partial / GENERATOR)
        save_file(_contiguous(contents.training), partial / TRAINING)
        if contents.statistics is not None:
            save_statistics(contents.statistics, partial)
        write_config(partial, contents.config)
        if contents.plugins is not None and contents.plugins.is_dir():
            shutil.copytree(contents.plugins, partial / PLUGINS)
        write_state(partial, {**known, **contents.state, "files": records(partial)})
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
    """Return the shapes of the tensors of a checkpoint's generator and discriminator, without reading them.

    What was taken out of a run for inference has no discriminator.
    """
    has_one = path.parent.name in (CHECKPOINTS, BEST) or (path / TRAINING).exists()
    training = _shapes(path / TRAINING) if has_one else {}
    return _shapes(path / GENERATOR), _under(training, "discriminator")


def halve(path: Path) -> None:
    """Keep a checkpoint's generator in 16 bits; a network that loads it computes in its own arithmetic.

    Args:
        path: The checkpoint's folder.
    """
    state = read_state(path)
    tensors = load_file(path / GENERATOR)
    short = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    save_file(short, path / GENERATOR)
    files = {**state.get("files", {}), GENERATOR: record(path / GENERATOR).model_dump()}
    write_state(path, {**state, "images": described(state["images"]), "files": files})


def write_config(folder: Path, config: Plain) -> None:
    """Write the resolved config of a run's or checkpoint's folder."""
    with atomic_file(folder / CONFIG) as partial:
        partial.write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")


def keep_mode(path: Path, mode: Mapping[str, str], statistics: Path | None = None) -> None:
    """Make a mode a checkpoint's own: who translates, loads or evaluates it next uses it.

    Args:
        path: The checkpoint's folder.
        mode: Keys of `evaluate`.
        statistics: A folder with batch norm's statistics, gathered anew, where the mode uses these.
    """
    config, state = read_config(path), read_state(path)
    config["evaluate"] |= mode
    with writing(path), atomic_folder(path) as partial:
        shutil.copytree(path, partial, copy_function=_link, dirs_exist_ok=True)
        write_config(partial, config)
        changed = [CONFIG]
        if statistics is not None:
            changed.append(STATISTICS)
            with atomic_file(partial / STATISTICS) as file:
                shutil.copyfile(statistics / STATISTICS, file)
        # What is said of the other files stays: one that is damaged must not be taken for sound from now on.
        files = {**state.get("files", {}), **{name: record(partial / name).model_dump() for name in changed}}
        write_state(partial, {**state, "images": described(state["images"]), "files": files})


def _link(file: str, to: str) -> None:
    """Give a file that is only replaced, never changed, another name, where the disk can."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)


def save_statistics(statistics: Mapping[str, Tensor], folder: Path) -> None:
    """Write the batch-norm statistics that were gathered anew."""
    with atomic_file(folder / STATISTICS) as partial:
        save_file(_contiguous(statistics), partial)


def read_config(path: Path) -> dict[str, Json]:
    """Read the resolved config of a run's or checkpoint's folder."""
    verify(path / CONFIG)
    return read_mapping(path / CONFIG, str(path / CONFIG), ModelError)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as a file can hold them: each whole, and one that shares its memory with another copied."""
    found = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    shared = Counter(tensor.untyped_storage().data_ptr() for tensor in found.values())
    return {name: t.clone() if shared[t.untyped_storage().data_ptr()] > 1 else t for name, t in found.items()}


def _under(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def _load(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, *, whole: bool = True) -> None:
    try:
        if network.load_state_dict(dict(tensors), strict=whole).unexpected_keys:
            raise RuntimeError
    except RuntimeError as error:
        cause = f"the weights don't fit the network: {_differing(network, tensors) or first_line(error)}"
        raise ModelError(Problem(str(path), cause, "was the checkpoint made by another version of a plugin?")) from None
    parameters = (name for name, value in network.named_parameters() if not value.isfinite().all())
    broken = [*parameters, *(name for name, value in network.named_buffers() if value.isnan().any())]
    if broken:
        raise ModelError(Problem(str(path), f"weights that are no finite numbers: {', '.join(broken[:3])}", REMEDY))


def _differing(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Say in what the names or shapes of tensors are not a network's; three of each kind at most."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in tensors.items()}
    kinds = {
        "not in the file": sorted(own.keys() - there.keys()),
        "not in the network": sorted(there.keys() - own.keys()),
        "of another shape": [
            f"{name} ({_by(there[name])}, not {_by(own[name])})"
            for name in sorted(own.keys() & there.keys())
            if own[name] != there[name]
        ],
    }
    more = {kind: f" and {len(names) - 3} more" if len(names) > 3 else "" for kind, names in kinds.items()}
    return "; ".join(f"{kind}: {', '.join(names[:3])}{more[kind]}" for kind, names in kinds.items() if names)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one value"


def _tensors(path: Path) -> dict[str, Tensor]:
    verify(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}", REMEDY)) from None


def _shapes(path: Path) -> dict[str, Shape]:
    try:
        with safe_open(path, "pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  safetensors' file can't be iterated
    except (OSError, SafetensorError) as error:
        raise ModelError(Problem(str(path), f"can't be read: {error}")) from None
