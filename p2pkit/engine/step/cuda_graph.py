"""The whole training step as one CUDA graph: captured once for each set of terms that is due, then replayed.

A step at batch 1 is about a thousand short kernels, and launching them one by one takes longer than they run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch

from p2pkit.engine.step.scalars import Scalars
from p2pkit.engine.step.training_step import PairTensors, TrainingStep

WARM_UP = 3
"""Steps that run uncaptured first: they make the optimisers' moments and let cuDNN choose its algorithms."""


@dataclass(frozen=True)
class _Captured:
    """A captured step: where its images have to be put, and where its scalars are then found."""

    graph: torch.cuda.CUDAGraph
    batches: Sequence[PairTensors]
    scalars: Scalars

    def replay(self, batches: Sequence[PairTensors]) -> Scalars:
        for mine, theirs in zip(self.batches, batches, strict=True):
            for here, image in zip(mine, theirs, strict=True):
                here.copy_(image, non_blocking=True)
        self.graph.replay()
        return replace(self.scalars, stacked=self.scalars.stacked.clone())


class GraphedStep:
    """A training step that is replayed from CUDA graphs; called like the step itself, with the same effect.

    Args:
        step: The step, whose networks are on a GPU.
    """

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's
        self.pool = torch.cuda.graph_pool_handle()
        self._seen: Counter[Hashable] = Counter()
        self._captured: dict[Hashable, _Captured] = {}

    def __call__(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Update both players.

        Args:
            batches: One batch, or several whose gradients are added up.
            number: Number of the step, from 0.

        Returns:
            Detached scalars on the device.

        Shape: each batch is (source, target), (B, C, H, W) in [-1, 1].
        """
        shapes = tuple(image.shape for batch in batches for image in batch)
        due = tuple(number % term.part.every == 0 for term in self.step.objective.terms)
        key = (shapes, due)
        self._seen[key] += 1
        if self._seen[key] <= WARM_UP:
            return self._uncaptured(batches, number)
        if key not in self._captured:
            self._captured[key] = self._capture(batches, number)
        return self._captured[key].replay(batches)

    def _uncaptured(self, batches: Sequence[PairTensors], number: int) -> Scalars:
        """Take a step as it is, on the stream that is captured later."""
        outside = torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            scalars = self.step(batches, number)
        outside.wait_stream(self.stream)
        for image in (image for batch in batches for image in batch):
            image.record_stream(self.stream)
        scalars.stacked.record_stream(outside)
        return scalars

    def _capture(self, batches: Sequence[PairTensors], number: int) -> _Captured:
        """Record a step without taking it."""
        inputs = [(torch.empty_like(source), torch.empty_like(target)) for source, target in batches]
        graph = torch.cuda.CUDAGraph()
        # Other threads, which read data or watch the machine, may go on as they like.
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            scalars = self.step(inputs, number)
        return _Captured(graph, inputs, scalars)
