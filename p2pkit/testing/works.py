"""Work by which executors are tried."""

from __future__ import annotations

import os
from collections.abc import Sequence

from p2pkit.errors import DataError, Problem
from p2pkit.types import Tell, Work
from p2pkit.untyped import Json


def piece(function: str, name: str = "", **arguments: Json) -> Work:
    """Return a piece of work that calls a function of this module."""
    return Work(f"{__name__}:{function}", arguments, name or function)


def add(tell: Tell, *, numbers: Sequence[int]) -> int:
    """Return the sum, and tell of each number."""
    for number in numbers:
        tell({"number": number})
    return sum(numbers)


def refuse(tell: Tell) -> None:
    """Fail as p2pkit does.

    Raises:
        DataError: Always.
    """
    raise DataError([Problem("a.png", "can't be read", "mend it"), Problem("b.png", "is empty")])


def crash(tell: Tell) -> None:
    """Fail as nobody expects.

    Raises:
        TypeError: Always.
    """
    raise TypeError("odd\nindeed")


def process(tell: Tell) -> int:
    """Return the process in which work runs."""
    return os.getpid()


def die(tell: Tell, *, spare: int) -> int:
    """End the process without a word, unless it is the one named, whose number is returned."""
    if os.getpid() != spare:
        os._exit(3)
    return spare
