"""A few pairs read more than once: they have to be the same each time, and in whichever thread."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch

from p2pkit.errors import DataError, Problem
from p2pkit.types import Pair

_LOOKED_AT = 4
_DRAW = "draw in an augmentation, or from a generator that the pair's index seeds"
_NEW = "return new tensors, and keep nothing of a pair in the object"


def refuse_unsteady(pairs: Sequence[Pair]) -> None:
    """Look whether a few pairs are the same each time they are read; those that can't be read are told of elsewhere.

    Args:
        pairs: The pairs of a split.

    Raises:
        DataError: They are not; it says in what way.
    """
    cause, remedy = "", ""
    with suppress(Exception):  # of a data set's own, which are reported where all pairs are read
        cause, remedy = _change(pairs, range(min(_LOOKED_AT, len(pairs))))
    if cause:
        raise DataError(Problem("dataset", cause, remedy))


def _change(pairs: Sequence[Pair], places: range) -> tuple[str, str]:
    """Return in what pairs change from one reading to the next, and what to do; empty where they don't."""
    handed_out, copies = [], []
    for place in places:
        handed_out.append(pairs[place])
        copies.append(_copy(handed_out[-1]))
    if not _equal(handed_out, copies):
        return "a pair's images change when another pair is read", _NEW
    if not _equal([pairs[place] for place in places], copies):
        return "a pair has other images whenever it is read", _DRAW
    with ThreadPoolExecutor(_LOOKED_AT) as pool:
        together = list(pool.map(pairs.__getitem__, [*places] * 2))
    return ("", "") if _equal(together, copies * 2) else ("a pair has other images when several threads read", _NEW)


def _copy(pair: Pair) -> Pair:
    return Pair(pair.source.clone(), pair.target.clone(), pair.name)


def _equal(one: Sequence[Pair], other: Sequence[Pair]) -> bool:
    """Tell whether images are the same; those that hold no number count as equal to themselves."""
    return all(
        torch.equal(a.nan_to_num(), b.nan_to_num())
        for x, y in zip(one, other, strict=True)
        for a, b in ((x.source, y.source), (x.target, y.target))
    )
