"""Pairs that data sets make when they are asked for them, and the splits that they lie in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

from p2pkit.errors import DataError, Problem
from p2pkit.types.images import Pair

T = TypeVar("T")


class LazyPairs(Sequence[Pair]):
    """A sequence of pairs, each made when it is asked for: `pair` and a length make one."""

    @abstractmethod
    def pair(self, index: int) -> Pair:
        """Make one pair.

        Args:
            index: Which; from 0, and within the length.

        Raises:
            DataError: It can't be made; the file to blame is named.
        """

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        """Return one pair, or a list of several."""
        if isinstance(index, slice):
            return [self.pair(i) for i in range(len(self))[index]]
        return self.pair(range(len(self))[index])


def split_of(held: Mapping[str, T], split: str) -> T:
    """Return what belongs to a split.

    Args:
        held: What belongs to each split.
        split: The split that is asked for.

    Raises:
        DataError: There is no such split; those there are are named.
    """
    if split in held:
        return held[split]
    raise DataError(Problem("", f"the data has no split {split!r}", f"it has {', '.join(held)}"))
