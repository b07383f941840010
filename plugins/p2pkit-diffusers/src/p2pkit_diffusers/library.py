"""Where diffusers is imported: not before a network is built, since it takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from p2pkit import ComponentError


def made(name: str, **config: Any) -> Any:
    """Make a model of diffusers.

    Args:
        name: The model's class.
        **config: What it is made of.
    """
    return getattr(import_module("diffusers"), name)(**config)


def check_groups(channels: Sequence[int], groups: int) -> None:
    """Refuse channels that can't be divided into the groups of a group norm.

    Raises:
        ComponentError: They can't.
    """
    odd = [each for each in channels if each % groups]
    if odd:
        cause = f"{odd[0]} channels can't be divided into {groups} groups"
        raise ComponentError(cause, remedy="take multiples of it, or fewer groups", parameter="norm_groups")
