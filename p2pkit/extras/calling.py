"""Which extras a network takes, and what a generator answers."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping

from torch import Tensor

from p2pkit.types import Made, PairSpec, optional
from p2pkit.untyped import Untyped

SEEN = {"generator": 1, "discriminator": 2}
"""How many images a network is given before its extras."""


def taken(network: object, images: int = 1) -> dict[str, bool]:
    """Return by name which extras a network takes, and whether it can't do without.

    Args:
        network: A network, which says so by the names of its forward's arguments, or by its attribute `takes`.
        images: How many images come first.
    """
    named = optional.takes(network)
    if named is not None:
        return dict.fromkeys(named, True)
    arguments = _arguments(getattr(network, "forward", network))
    positional = [a for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    rest = [*positional[images:], *(a for a in arguments if a.kind is a.KEYWORD_ONLY)]
    return {a.name: a.default is a.empty for a in rest if a.kind is not a.POSITIONAL_ONLY}


def _arguments(call: Untyped) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # it is not written in Python
        return []


def chosen(network: object, extras: Mapping[str, Tensor], images: int = 1) -> dict[str, Tensor]:
    """Return those of the extras that a network takes."""
    return {name: extras[name] for name in taken(network, images) if name in extras} if extras else {}


def lacking(network: object, known: Collection[str], images: int = 1) -> list[str]:
    """Return the names of what a network can't do without, and nobody has."""
    return [name for name, needed in taken(network, images).items() if needed and name not in known]


def moved_along(augmentation: object, images: PairSpec) -> tuple[str, ...]:
    """Return by name the images that an augmentation is given: all, where its call takes `*extras`, else the two."""
    call = getattr(augmentation, "forward", augmentation)
    more = any(argument.kind is argument.VAR_POSITIONAL for argument in _arguments(call))
    return tuple(images.images) if more else ("source", "target")


def answered(answer: Untyped) -> Made:
    """Return what a generator answered with its fake told from the rest."""
    return answer if isinstance(answer, Made) else Made(answer)


def generated(generator: Untyped, source: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
    """Return a generator's fakes, asked with those of the extras that it takes.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), both in [-1, 1].
    """
    return answered(generator(source, **chosen(generator, extras))).fake
