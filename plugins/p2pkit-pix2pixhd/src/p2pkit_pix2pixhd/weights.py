"""Weights of another run: where its checkpoint is, whether it fits, and taking it over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from p2pkit import ComponentError
from pydantic import Field
from safetensors import SafetensorError, safe_open
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
Weights = Annotated[
    Path | None,
    Field(description="Run, checkpoint or .safetensors file to begin from; null for random weights."),
]
_FILE = "generator.safetensors"
_OWN = "or this run itself where a checkpoint of it brings its weights anyway"


def take_over(network: nn.Module, path: Path, inner: str | None = None) -> ComponentError | None:
    """Begin from a checkpoint of the same network, or of the one inside it.

    On the meta device the fit is checked, and nothing is read.

    Args:
        network: The network, with its parts under `features` and `head`.
        path: A run's folder, a checkpoint's folder or a file.
        inner: Name of the part that may be taken from the features of a smaller network.

    Returns:
        Why that can't be done; None where it has been.
    """
    file = _find(path)
    if file is None:
        return _error(f"there is no checkpoint at {path}", "name a run's folder, a checkpoint of it or a file")
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    try:
        with safe_open(file, "pt") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118  no mapping
            plan = _plan(shapes, own, inner)
            if isinstance(plan, str):
                return _error(f"the weights of {file} do not fit: {plan}", "use its width, blocks, halvings and norm")
            if not next(network.parameters()).is_meta:
                network.load_state_dict({mine: stored.get_tensor(its) for mine, its in plan.items()}, strict=False)
    except (OSError, SafetensorError) as error:
        return _error(f"{file} can't be read: {error}", "name another checkpoint")
    return None


def _find(path: Path) -> Path | None:
    """Return the file of weights that a path means; of a run the latest."""
    path = path.expanduser()
    if path.is_file():
        return path
    inside = [path / _FILE, *sorted(path.glob(f"checkpoints/step-*/{_FILE}"), reverse=True)]
    return next((file for file in inside if file.is_file()), None)


def _plan(stored: Shapes, own: Shapes, inner: str | None) -> dict[str, str] | str:
    """Return which stored tensor each of ours is taken from, or the first difference."""
    whole = _difference(stored, own)
    if whole is None:
        return {name: name for name in own}
    if inner is None or stored.keys() == own.keys():
        return whole
    mine = {name.replace(f"features.{inner}.", "features.", 1): name for name in own if f"features.{inner}." in name}
    part = {name: shape for name, shape in stored.items() if name.startswith("features.")}
    difference = _difference(part, {short: own[name] for short, name in mine.items()})
    return difference or {name: short for short, name in mine.items()}


def _difference(stored: Shapes, own: Shapes) -> str | None:
    for name in sorted(own.keys() | stored.keys()):
        if name not in stored:
            return f"they have no {name}"
        if name not in own:
            return f"they have {name}, which has no place here"
        if stored[name] != own[name]:
            return f"{name} is {_text(stored[name])}, where {_text(own[name])} is wanted"
    return None


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _error(cause: str, remedy: str) -> ComponentError:
    return ComponentError(cause, remedy=f"{remedy}, {_OWN}", parameter="weights")
