"""The whole training step as one CUDA graph: captured once for each set of what is due, then replayed.

A step at batch 1 is about a thousand short kernels, and launching them one by one takes longer than they run.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from p2pkit.engine.step.forward import PairTensors
from p2pkit.engine.step.scalars import Scalars
from p2pkit.engine.step.training_step import TrainingStep
from p2pkit.untyped import Untyped

WARM_UP = 3
"""Steps that run uncaptured first: they make the optimisers' moments and let cuDNN choose its algorithms.

Each combination of due terms is among them, where it comes up at all: once there is a graph, which keeps its memory to
itself, an uncaptured step would need as much again.
"""
LONGEST = 1000
"""Steps that are looked ahead for combinations of due terms."""


@dataclass(frozen=True)
class _Captured:
    """A captured step: where its images have to be put, and where its scalars are then found."""

    graph: torch.cuda.CUDAGraph
    batches: Sequence[PairTensors]
    scalars: Scalars

    def replay(self, batches: Sequence[PairTensors]) -> Scalars:
        # A graph reads where it did when it was captured, so images are brought there.
        torch._foreach_copy_(_images(self.batches), _images(batches), non_blocking=True)
        self.graph.replay()
        return self.scalars


class GraphedStep:
    """A training step that is replayed from CUDA graphs; called like the step itself, with the same effect.

    Args:
        step: The step, whose networks are on a GPU.
    """

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's
        self.pool = torch.cuda.graph_pool_handle()
        self.examples = _examples(self.periods)
        self._awaited = {self._due(number) for number in self.examples}
        self._seen: Counter[Hashable] = Counter()
        self._captured: dict[Hashable, _Captured] = {}

    @property
    def warm_up(self) -> tuple[int, ...]:
        """Numbers of steps after which every combination of due terms is captured as soon as it comes."""
        return (self.examples * WARM_UP)[: max(WARM_UP, len(self.examples))]

    def __call__(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players.

        Args:
            batches: One batch, or several whose gradients are added up.
            number: Number of the step, from 0.

        Returns:
            Detached scalars on the device, which stand there until the next step.

        Shape: each batch is (source, target, extras), images (B, C, H, W) in [-1, 1].
        """
        self.step.forward.clock.set(number)
        shapes = tuple(image.shape for image in _images(batches))
        due = self._due(number)
        key = (shapes, due)  # what a graph can't change once it is captured
        self._awaited.discard(due)
        self._seen[key] += 1
        if self._awaited or self._seen[key] == 1 or self._seen.total() <= WARM_UP:
            return self._uncaptured(batches, number)
        if key not in self._captured:
            self._captured[key] = self._capture(batches, number)
        return self._captured[key].replay(batches)

    @property
    def periods(self) -> list[int]:
        """Of all that is not done in each step, every how many steps it is."""
        return [*self.step.objective.periods, self.step.turns.updates.generator]

    def _due(self, number: int) -> tuple[bool, ...]:
        return tuple(number % each == 0 for each in self.periods)

    def release(self) -> None:
        """Give back the memory of its graphs, which nobody will ask for again."""
        torch.cuda.synchronize()
        self._captured.clear()

    def _uncaptured(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Take a step as it is, on the stream that is captured later."""
        outside = torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            scalars = self.step.take(batches, number)
        outside.wait_stream(self.stream)
        # Else the allocator would give this memory to others while one stream still uses it for the other.
        for image in _images(batches):
            image.record_stream(self.stream)
        scalars.stacked.record_stream(outside)
        return scalars

    def _capture(self, batches: Sequence[PairTensors], number: int) -> _Captured:
        """Record a step without taking it."""
        inputs = [tuple(map(torch.empty_like, batch)) for batch in batches]
        graph = torch.cuda.CUDAGraph()
        with capturing(graph, pool=self.pool, stream=self.stream):
            scalars = self.step.take(inputs, number)
        return _Captured(graph, inputs, scalars)


def _images(batches: Sequence[PairTensors]) -> list[Tensor]:
    return [image for batch in batches for image in batch]


def _examples(every: Sequence[int]) -> tuple[int, ...]:
    """Return for each combination of due terms that comes up the number of the first step in which it does."""
    found: dict[tuple[bool, ...], int] = {}
    for number in range(min(math.lcm(*every), LONGEST)):
        found.setdefault(tuple(number % each == 0 for each in every), number)
    return tuple(found.values())


@contextmanager
def capturing(graph: torch.cuda.CUDAGraph, **options: Untyped) -> Iterator[None]:
    """Context that is captured; where that fails the stream is what it was before, and the first error is what is said.

    Args:
        graph: What records.
        options: Those of `torch.cuda.graph`, by its names.
    """
    errors: list[RuntimeError] = []
    # Other threads, which read data or watch the machine, may go on as they like.
    capture = torch.cuda.graph(graph, capture_error_mode="thread_local", **options)
    with torch.cuda.stream(torch.cuda.current_stream()):  # torch stays on the capture's where it fails
        try:
            with capture:
                try:
                    yield
                except RuntimeError as error:
                    errors.append(error)
                    raise
        except RuntimeError as error:
            raise (errors or [error])[0] from None


@contextmanager
def sync_debug(mode: str | int) -> Iterator[None]:
    """Context in which torch warns or raises where the host waits for a GPU.

    Args:
        mode: `warn` or `error`.
    """
    before = torch.cuda.get_sync_debug_mode()
    _set_sync_debug(mode)
    try:
        yield
    finally:
        _set_sync_debug(before)


def _set_sync_debug(mode: str | int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that it does not know every operation
        torch.cuda.set_sync_debug_mode(mode)
