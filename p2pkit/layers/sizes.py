"""Channels of the levels, and images whose sides halvings would change."""

from __future__ import annotations

import math
from collections.abc import Mapping

from p2pkit.errors import ComponentError
from p2pkit.types import PairSpec, times


def widths(width: int, levels: int, max_width: int) -> list[int]:
    """Return the channels of each level, full size first: twice those of the level before, up to a limit.

    Args:
        width: Channels of the first level.
        levels: Number of levels.
        max_width: Channels that no level exceeds.
    """
    return [min(width * 2**level, max_width) for level in range(levels)]


def halvings(images: PairSpec) -> int:
    """Return how often all sides of the images can be halved without a rest."""
    common = math.gcd(*images.size)
    return (common & -common).bit_length() - 1


def nearest_size(images: PairSpec, multiple: int, least: int = 1) -> str:
    """Name the size closest to the images' whose sides are multiples of a number and not under `least`.

    Args:
        images: What the run's images are.
        multiple: What the sides must be multiples of.
        least: The smallest side.
    """
    sides = (max(least, multiple, round(side / multiple) * multiple) for side in images.size)
    return times(sides)


def check_sides(
    images: PairSpec, name: str, multiple: int, *, least: int = 1, parameter: str | None = None, instead: str = ""
) -> None:
    """Refuse sides that halvings and doublings would change, or that are too small.

    Args:
        images: What the run's images are.
        name: The network, as the message calls it.
        multiple: What the sides must be multiples of.
        least: The smallest side.
        parameter: The parameter that is to blame, where it is one.
        instead: What else helps, beside another size.

    Raises:
        ComponentError: A side is no such multiple, or smaller.
    """
    if all(side % multiple == 0 and side >= least for side in images.size):
        return
    small = f" and at least {least}" if least > 1 else ""
    raise ComponentError(
        f"{name} needs sides that are multiples of {multiple}{small}, the images are {times(images.size)}",
        remedy=f"resize the images, for instance to {nearest_size(images, multiple, least)}"
        + (f", or {instead}" if instead else ""),
        parameter=parameter,
    )


def check_depth(images: PairSpec, depth: int, aliases: Mapping[int, str] | None = None) -> None:
    """Refuse a depth whose halvings the images' sides do not allow.

    Args:
        images: What the run's images are.
        depth: Number of halvings.
        aliases: Names of ready-made networks by their depth, for the remedy.

    Raises:
        ComponentError: The sides are not multiples of 2**depth.
    """
    fitting = halvings(images)
    if depth <= fitting:
        return
    multiple = 2**depth
    name = (aliases or {}).get(fitting)
    deepest = f"use depth {fitting} or less" + (f" ({name})" if name else "") + ", or " if fitting >= 2 else ""
    raise ComponentError(
        f"depth {depth} needs sides that are multiples of {multiple}, the images are {times(images.size)}",
        remedy=f"{deepest}resize the images, for instance to {nearest_size(images, multiple)}",
        parameter="depth",
    )
