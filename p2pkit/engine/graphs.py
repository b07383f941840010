"""The whole training step as one CUDA graph: captured once for each set of terms that is due, then replayed.

A step at batch 1 is about a thousand short kernels, and launching them one by one takes longer than they run.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from p2pkit.config.model import EngineConfig
from p2pkit.engine.assemble import Assembly, assemble
from p2pkit.engine.check import Checked
from p2pkit.engine.device.choose import choose_device
from p2pkit.engine.device.precision import choose_precision
from p2pkit.engine.distributed.world import world
from p2pkit.engine.objective import Scalars
from p2pkit.engine.step import Batch, TrainingStep

WARM_UP = 3
"""Steps that run uncaptured first: they make the optimisers' moments and let cuDNN choose its algorithms."""


@dataclass(frozen=True)
class _Captured:
    """A captured step: where its images have to be put, and where its scalars are then found."""

    graph: torch.cuda.CUDAGraph
    batches: Sequence[Batch]
    names: Sequence[str]
    values: Tensor

    def replay(self, batches: Sequence[Batch]) -> Scalars:
        for mine, theirs in zip(self.batches, batches, strict=True):
            for here, image in zip(mine, theirs, strict=True):
                here.copy_(image, non_blocking=True)
        self.graph.replay()
        return dict(zip(self.names, self.values.clone().unbind(), strict=True))


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

    def __call__(self, batches: Sequence[Batch], number: int) -> Scalars:
        """Update both players.

        Args:
            batches: One batch, or several whose gradients are added up.
            number: Number of the step, from 0.

        Returns:
            Detached scalars on the device.

        Shape: each batch is (source, target), (B, C, H, W) in [-1, 1].
        """
        shapes = tuple(image.shape for batch in batches for image in batch)
        due = tuple(number % term.every == 0 for term in self.step.objective.terms)
        key = (shapes, due)
        self._seen[key] += 1
        if self._seen[key] <= WARM_UP:
            return self._uncaptured(batches, number)
        if key not in self._captured:
            self._captured[key] = self._capture(batches, number)
        return self._captured[key].replay(batches)

    def _uncaptured(self, batches: Sequence[Batch], number: int) -> Scalars:
        """Take a step as it is, on the stream that is captured later."""
        outside = torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            scalars = self.step(batches, number)
        outside.wait_stream(self.stream)
        for image in (image for batch in batches for image in batch):
            image.record_stream(self.stream)
        for value in scalars.values():
            value.record_stream(outside)
        return scalars

    def _capture(self, batches: Sequence[Batch], number: int) -> _Captured:
        """Record a step without taking it."""
        inputs = [(torch.empty_like(source), torch.empty_like(target)) for source, target in batches]
        graph = torch.cuda.CUDAGraph()
        # Other threads, which read data or watch the machine, may go on as they like.
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            scalars = self.step(inputs, number)
            values = torch.stack([value.float() for value in scalars.values()])
        return _Captured(graph, inputs, tuple(scalars), values)


def obstacle(checked: Checked, engine: EngineConfig) -> str | None:
    """Say why a run's step can't be one CUDA graph; None if it can.

    The step of a second, short-lived assembly is tried, so that a component that can't be captured leaves no trace
    in the run.

    Args:
        checked: The plan and its data.
        engine: The engine's config in force.
    """
    device = choose_device(engine.device)
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    if engine.cuda_graph == "off":
        return "engine.cuda_graph is off"
    if world().several:
        return "gradients are exchanged with other processes"
    if choose_precision(engine.precision, device).name == "fp16":
        return "the loss scaler of fp16 leaves updates out"
    return _tried(assemble(checked, engine))


def _tried(assembly: Assembly) -> str | None:
    """Take some steps on random images, first watching for waits, then captured."""
    step = GraphedStep(assembly.step)
    batches = assembly.trial()
    try:
        waits = _waits(step, batches)
        if waits:
            return f"a component waits for the device ({waits})"
        for _ in range(WARM_UP):
            step(batches, 0)
        torch.cuda.synchronize()
    except RuntimeError as error:
        return f"the step can't be captured ({str(error).strip().splitlines()[0]})"
    return None


def _waits(step: GraphedStep, batches: Sequence[Batch]) -> str:
    """Return what torch says of a step in which the host waits for the device, empty where it does not."""
    step(batches, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step(batches, 0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return next((str(found.message) for found in caught if "synchroniz" in str(found.message)), "")
