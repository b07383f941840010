"""Extras as networks see them: of stored ones, drawn, or of a form alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from p2pkit.images.convert import to_network, to_stored
from p2pkit.types import ExtraSpec, ImageSpec, PairSpec, VectorSpec, is_drawn


def seen(stored: Tensor, spec: ExtraSpec) -> Tensor:
    """Turn stored images or vectors into what networks see.

    Shape: (B, C_stored, H, W) -> (B, C, H, W); (B, size) -> (B, size); classes (B,) -> (B, size); float32.
    """
    if isinstance(spec, ImageSpec):
        return to_network(stored, spec)
    if spec.kind == "class":
        return (stored.view(-1, 1) == torch.arange(spec.size, device=stored.device)).float()
    return stored.float()


def stored(values: Tensor, spec: ExtraSpec) -> Tensor:
    """Turn what networks see into stored images or vectors; the inverse of `seen`.

    Shape: (B, C, H, W) -> (B, C_stored, H, W); (B, size) -> (B, size); classes (B, size) -> (B,).
    """
    if isinstance(spec, ImageSpec):
        return to_stored(values, spec)
    return values.argmax(1) if spec.kind == "class" else values


def draw(specs: Mapping[str, VectorSpec], places: Sequence[object]) -> dict[str, Tensor]:
    """Draw what no pair holds: for each place always the same, whatever stands beside it.

    Args:
        specs: What is drawn, by name.
        places: What settles the numbers of each pair, seeds and positions.

    Shape: each (B, size), standard normal, on the CPU.
    """
    return {
        name: torch.stack([_normal(spec.size, f"{name} {place}") for place in places]) for name, spec in specs.items()
    }


def _normal(size: int, place: str) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big") >> 1
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def shape(spec: ExtraSpec, images: PairSpec) -> tuple[int, ...]:
    """Return the shape of one pair's image or vector as networks see it."""
    return (spec.channels, *images.size) if isinstance(spec, ImageSpec) else (spec.size,)


def blank(images: PairSpec, count: int) -> dict[str, Tensor]:
    """Return extras of zeros, of the form that a batch's have; they lie where tensors are made at present."""
    return {name: torch.zeros(count, *shape(spec, images)) for name, spec in sorted(images.extras.items())}


def some(spec: ExtraSpec, images: PairSpec, count: int, dice: torch.Generator | None = None) -> Tensor:
    """Return images or vectors by chance, of the form that a batch's have.

    Args:
        spec: What they are.
        images: Their size.
        count: How many.
        dice: What draws them; by default torch's own.
    """
    size = (count, *shape(spec, images))
    if is_drawn(spec):
        return torch.randn(size, generator=dice)
    if isinstance(spec, VectorSpec):
        stored = (
            torch.randint(spec.size, (count,), generator=dice)
            if spec.kind == "class"
            else torch.rand(size, generator=dice)
        )
        return seen(stored, spec)
    if spec.kind == "labels":
        return seen(torch.randint(spec.channels, (count, 1, *size[2:]), generator=dice), spec)
    return torch.rand(size, generator=dice) * 2 - 1


def where_it_counts(fake: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return a fake with the target in its place where nothing counts, so that nobody learns or judges anything there.

    Args:
        fake: The fake.
        target: What it should be.
        mask: What says where it counts.

    Shape: (B, C, H, W); mask (B, 1, H, W) in [-1, 1], which counts from 0 on.
    """
    return torch.where(mask >= 0, fake, target.to(fake.dtype))
