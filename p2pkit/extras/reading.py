"""Extras that a user gives: a word, numbers, an image, as text or as what Python has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from p2pkit.extras.values import seen
from p2pkit.images.convert import conform, resize_to, to_network
from p2pkit.images.files import image_tensor
from p2pkit.images.reading import at_depth
from p2pkit.types import ExtraSpec, ImageSpec, VectorSpec
from p2pkit.untyped import Untyped


def described(spec: ExtraSpec) -> str:
    """Say in words what an extra is."""
    if isinstance(spec, ImageSpec):
        return (
            f"a label map of {spec.channels} classes"
            if spec.kind == "labels"
            else f"an image of {spec.channels} channels"
        )
    if spec.kind == "class":
        return f"one of {', '.join(spec.names)}" if spec.names else f"a class from 0 to {spec.size - 1}"
    numbers = f"{spec.size} number{'s' if spec.size > 1 else ''}"
    return f"{numbers}, drawn by the seed where none are given" if spec.kind == "noise" else numbers


def read_vector(value: Untyped, spec: VectorSpec) -> Tensor:
    """Return the vector that a value stands for, as networks see it.

    Args:
        value: A class's name or index; numbers, as text with commas or blanks between them.
        spec: What it is to be.

    Raises:
        ValueError: It is no such vector.

    Shape: (size,), float32.
    """
    if spec.kind == "class":
        return seen(torch.tensor([_index(value, spec)]), spec)[0]
    numbers = value.replace(",", " ").split() if isinstance(value, str) else value
    try:
        vector = torch.as_tensor(np.asarray(numbers, dtype=np.float32)).flatten()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is no list of numbers") from None
    if len(vector) != spec.size or not vector.isfinite().all():
        raise ValueError(f"{value!r} is not {described(VectorSpec(spec.size))}")
    return vector


def _index(value: Untyped, spec: VectorSpec) -> int:
    names: Sequence[str] = spec.names or tuple(map(str, range(spec.size)))
    text = str(value.item() if isinstance(value, Tensor) else value)
    if text in names:
        return names.index(text)
    if isinstance(value, int | Tensor) and 0 <= int(value) < spec.size:
        return int(value)
    raise ValueError(f"{text!r} is no class: {described(spec)}")


def read_image_beside(value: Untyped, spec: ImageSpec, size: Sequence[int]) -> Tensor:
    """Return an image as networks see it, of the size of the source that it stands beside.

    Args:
        value: A file, a Pillow image, an array or a tensor.
        spec: What it is to be.
        size: Height and width; of volumes with the depth before them.

    Raises:
        OSError: It can't be read, or made such an image.

    Shape: (C, H, W) in [-1, 1].
    """
    labels = spec.kind == "labels"
    stored = image_tensor(Path(value) if isinstance(value, str) else value, indexed=labels)
    own = at_depth(spec, stored)
    return to_network(resize_to(conform(stored, own), size, nearest=labels)[None], own)[0]
