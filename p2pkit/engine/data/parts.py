"""Parts of images at their own resolution, which may be of any sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import psutil
import torch
from torch import Tensor

from p2pkit.engine.data.cache import _SHARE_OF_MEMORY
from p2pkit.engine.data.decode import OnProgress, decode_in_threads, raise_unreadable
from p2pkit.engine.data.pair_sources import BatchOrder, Images, Indexed, read_pairs
from p2pkit.engine.data.workers import ALONE, Workers
from p2pkit.engine.distributed.world import world
from p2pkit.errors import DataError, Problem
from p2pkit.images.convert import resize_to
from p2pkit.types import ExtraSpec, ImageSpec, Pair, PairSpec


@dataclass(frozen=True)
class Parts(Indexed):
    """One part of each pair, cut out when it is wanted: a random one in a shuffled epoch, else the middle.

    Args:
        names: The pairs' names.
        pairs: Pairs of any sizes, decoded or decoded when they are asked for.
        kept: Which of them are used.
        images: What the parts are.
        scales: Between which scales a pair is before a part is cut out.
        workers: Processes that decode.
        seed: Settles which parts; None for the middle ones.
    """

    names: Sequence[str]
    pairs: Sequence[Pair]
    kept: Sequence[int]
    images: PairSpec
    scales: tuple[float, float]
    workers: Workers = ALONE
    seed: int | None = None

    def epoch(self, order: BatchOrder) -> Iterator[Images]:
        """Yield (source, target, extras) of each batch, as stored; an epoch's seed settles its parts too."""
        return super(Parts, replace(self, seed=order.seed)).epoch(order)

    def batches(self, indices: Sequence[Sequence[int]]) -> Iterator[Images]:
        """Yield (source, target, extras) of each group of indices, as stored."""
        return read_pairs(_Cut(self), self, indices, self.workers)

    def cut(self, index: int) -> Pair:
        """Cut a part out of a pair; one that is too small is enlarged.

        Args:
            index: Which pair.
        """
        pair, wanted = self.pairs[index], self.images.size
        draw = self._draws(index)
        scale = self.scales[0] + draw[0] * (self.scales[1] - self.scales[0])
        if self.seed is None:
            scale = min(max(1.0, self.scales[0]), self.scales[1])
        cut = [max(1, round(side / scale)) for side in wanted]
        factor = max(1.0, *(side / own for side, own in zip(cut, pair.source.shape[1:], strict=True)))
        size = [math.ceil(side * factor - 1e-9) for side in pair.source.shape[1:]]
        starts = [int(d * (s - c + 1)) for d, s, c in zip(draw[1:], size, cut, strict=True)]
        box = (slice(None), *(slice(start, start + side) for start, side in zip(starts, cut, strict=True)))

        def part(image: Tensor, spec: ExtraSpec) -> Tensor:
            if not isinstance(spec, ImageSpec):
                return image
            nearest = spec.kind == "labels"
            return resize_to(resize_to(image, size, nearest=nearest)[box], wanted, nearest=nearest)

        specs = self.images.stored
        source, target, *extras = (part(each, specs[name]) for name, each in pair.stored.items())
        return Pair(source, target, pair.name, dict(zip(sorted(pair.extras), extras, strict=True)))

    def _draws(self, index: int) -> list[float]:
        if self.seed is None:
            return [0.5] * (1 + self.images.dims)
        dice = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % 2**63)
        return [float(draw) for draw in torch.rand(1 + self.images.dims, generator=dice)]


class _Cut:
    def __init__(self, parts: Parts) -> None:
        self.parts = replace(parts, workers=ALONE)  # whom it would tell of a loss does not go to a process

    def __getitem__(self, index: int) -> Pair:
        return self.parts.cut(index)


def load_parts(
    pairs: Sequence[Pair],
    images: PairSpec,
    scales: tuple[float, float],
    *,
    cache: str = "auto",
    unreadable: str = "stop",
    workers: Workers = ALONE,
    what: str = "pairs",
    report: OnProgress | None = None,
) -> tuple[Parts, list[Problem]]:
    """Decode all pairs once, and keep them where all fit into a share of the memory.

    Args:
        pairs: Pairs of their own sizes.
        images: What the parts are.
        scales: Between which scales a pair is before a part is cut out.
        cache: `off` to decode them anew each time.
        unreadable: Whether a file that can't be read is an error or left out.
        workers: Processes that decode when nothing is kept.
        what: What is being read, for the progress report.
        report: Called with (what, done, total).

    Raises:
        DataError: Files can't be read, all of them named; or nothing is left.
    """
    room = psutil.virtual_memory().available * _SHARE_OF_MEMORY / world().local_count if cache != "off" else 0
    names: list[str] = []
    kept: list[int] = []
    held: list[Pair] = []
    problems: list[Problem] = []
    for index, outcome in enumerate(decode_in_threads(pairs, lambda pair: pair)):
        if isinstance(outcome, DataError):
            problems += outcome.problems
        else:
            names.append(outcome.name)
            kept.append(index)
            room -= sum(each.nbytes for each in outcome.stored.values())
            held.append(outcome)
            if room < 0:
                held.clear()
        if report is not None:
            report(what, index + 1, len(pairs))
    if unreadable == "stop" or not kept:
        raise_unreadable(problems)
    if len(held) == len(kept):
        return Parts(names, held, range(len(held)), images, scales), problems
    return Parts(names, pairs, kept, images, scales, workers), problems
