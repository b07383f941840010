"""Where a step's time goes, by the ranges that the step itself names; measured apart, since looking costs time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from torch.autograd.profiler import profile
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import record_function

from p2pkit.bench.synthetic_run import forever, loader
from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.device.timing import timed

ROUNDS = 5
WITHIN = ("forward", "discriminator_update", "generator_update", "optimiser")
"""Ranges within a step; `forward` is that of the fakes, an update the losses, verdicts and gradients of a player."""
BESIDE = ("data_wait", "host_to_device")


def parts(assembly: Assembly) -> dict[str, float]:
    """Split the time of a step that is not captured, in seconds.

    Args:
        assembly: The run; it is trained a little further.

    Returns:
        The seconds of each range, and the `rest` of the step; `idle` on a GPU, which waits to be told what to do
        next: a captured step leaves that out.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it reports each start, and a GPU that isn't there as an error
    device, step = assembly.place.device, assembly.step
    source, whole = forever(loader(assembly)), 0.0
    on_gpu = device.type == "cuda"
    with profile(use_device="cuda" if on_gpu else None, use_kineto=on_gpu) as measured:
        for number in range(ROUNDS):
            with record_function("data_wait"):
                group = [next(source) for _ in range(assembly.engine.accumulate)]
            batches = [(each.source, each.target) for each in group]
            whole += timed(partial(step, batches, number), device)
    seconds = _seconds(list(measured.function_events or ()), on_gpu)
    found = {name: seconds.get(name, 0.0) / ROUNDS for name in (*BESIDE, *WITHIN)}
    return {**found, "idle" if on_gpu else "rest": max(0.0, whole / ROUNDS - sum(found[name] for name in WITHIN))}


def _seconds(events: Sequence[FunctionEvent], on_gpu: bool) -> dict[str, float]:
    """Sum up each range without those inside it: its own time on a CPU, or that of the kernels launched in it.

    A backward pass launches from a thread of its own, while the one that asked for it waits inside its range: so a
    kernel belongs to the innermost range at the time of its launch, in whatever thread.
    """
    ranges = [event for event in events if event.name in (*BESIDE, *WITHIN)]

    def length(event: FunctionEvent) -> float:
        return float(event.time_range.end - event.time_range.start)

    seconds: dict[str, float] = {}
    for event in ranges if not on_gpu else events:
        own = sum(kernel.duration for kernel in event.kernels) if on_gpu else length(event)
        around = [each for each in ranges if each is not event and _holds(each, event)]
        inner = min(around, key=length, default=None)
        name = event.name if not on_gpu else (inner.name if inner else "")
        seconds[name] = seconds.get(name, 0.0) + own / 1e6
        if inner is not None and not on_gpu:
            seconds[inner.name] = seconds.get(inner.name, 0.0) - own / 1e6
    return seconds


def _holds(outer: FunctionEvent, inner: FunctionEvent) -> bool:
    return bool(outer.time_range.start <= inner.time_range.start and inner.time_range.end <= outer.time_range.end)
