"""Encoders by name: which there are, what they need to know of the images, and their first weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2pkit import ComponentError, first_line
from p2pkit.layers import IMAGENET_MEAN, IMAGENET_STD


def check_encoder(name: str) -> None:
    """Refuse a name that is no encoder's.

    Args:
        name: The name; timm's follow `tu-`.

    Raises:
        ComponentError: Neither library has such an encoder; near names are in the remedy.
    """
    names = encoder_names()
    if name in names or (name.partition(".")[0] in names and name in _tagged()):
        return
    near = get_close_matches(name, names, 4, 0.5) or get_close_matches(f"tu-{name}", names, 4, 0.5)
    remedy = f"near names: {', '.join(near)}" if near else "for instance resnet34, efficientnet-b0 or tu-convnext_tiny"
    raise ComponentError(f"there is no encoder {name!r}", remedy=remedy, parameter="encoder")


@cache
def encoder_names() -> tuple[str, ...]:
    """Return every encoder's name: the library's own, and timm's after `tu-`."""
    import timm

    return (*_library().get_encoder_names(), *(f"tu-{name}" for name in timm.list_models()))


def _library() -> Any:
    return import_module("segmentation_models_pytorch.encoders")


@cache
def _tagged() -> frozenset[str]:
    import timm

    return frozenset(f"tu-{name}" for name in timm.list_pretrained())


def sizings(name: str, height: int, width: int) -> list[dict[str, Any]]:
    """Return arguments by which timm's encoders may be told of other sizes than they were trained at, best first.

    Args:
        name: The encoder.
        height: Height of the run's images.
        width: Their width.
    """
    if not name.startswith("tu-"):
        return [{}]
    import timm

    config = timm.get_pretrained_cfg(name.removeprefix("tu-"), allow_unregistered=True)
    if config is None or not config.fixed_input_size:
        return [{}]
    size = height, width
    return [{"dynamic_img_size": True}, {"img_size": size, "strict_img_size": False}, {"img_size": size}, {}]


def statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of the images, in [0, 1], that an encoder was trained with."""
    if name.startswith("tu-"):
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix("tu-"), allow_unregistered=True)
        if config is not None and len(config.mean) == 3:
            return tuple(config.mean), tuple(config.std)
    return IMAGENET_MEAN, IMAGENET_STD


def find_file(name: str, weights: Path) -> Path:
    """Return the file of weights that a user gave.

    Args:
        name: The encoder, for the message.
        weights: What the user gave.

    Raises:
        ComponentError: There is none.
    """
    file = weights.expanduser()
    if not file.is_file():
        raise ComponentError(f"there is no file {weights}", remedy=f"{_source(name)}", parameter="weights")
    return file


def read(file: Path) -> dict[str, Tensor]:
    """Read a state dict to the CPU, whatever the default device is."""
    with torch.device("cpu"):
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file, device="cpu")
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not a state dict")
    return state


def lacking(name: str, weights: str | Path, error: Exception) -> ComponentError:
    """Return the error for an encoder whose weights can't be had or don't fit, with what the user can do.

    Args:
        name: The encoder.
        weights: A file, or the library's name of them.
        error: What went wrong.
    """
    reason = first_line(error).rstrip(".: ")
    if isinstance(weights, Path):
        cause = f"the weights in {weights} can't be given to encoder {name}: {reason}"
    else:
        cause = f"the weights {weights} of encoder {name} can't be had: {reason}"
    return ComponentError(cause, remedy=_source(name), parameter="weights")


def _source(name: str) -> str:
    """Say where an encoder's weights come from."""
    place = _place(name)
    if place is None:
        return f"{name} has no such weights; use null for random ones, or another encoder"
    return (
        f"connect to the network once, so that the library keeps a copy; or get {place} on another machine and give "
        "the file's path as weights; or use null for random ones"
    )


def _place(name: str) -> str | None:
    if name.startswith("tu-"):
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix("tu-"), allow_unregistered=True)
        if config is not None and config.hf_hub_id:
            repository = config.hf_hub_id
            if repository.endswith("/"):
                repository = f"{repository}{config.architecture}" + (f".{config.tag}" if config.tag else "")
            return f"model.safetensors from https://huggingface.co/{repository}"
        return str(config.url) if config is not None and config.url else None
    settings = _library().encoders[name]["pretrained_settings"].get("imagenet")
    return f"model.safetensors from https://huggingface.co/{settings['repo_id']}" if settings else None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what the libraries have to say of names that are on their way out and of loading on the meta device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
