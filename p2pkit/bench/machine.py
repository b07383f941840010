"""The most that a machine can do."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable

import torch
from torch.nn import functional

from p2pkit.engine.device.timing import timed

_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
_PIXELS = 64
_PATIENCE = 0.5
"""Seconds of one piece of work after which no larger one is tried: a CPU without bf16 takes minutes to emulate it."""
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def ceiling(device: torch.device, precision: str) -> float:
    """Measure the most to be had here, in TFLOP/s: a large matrix product's rate, or a large convolution's.

    On a GPU the product is the faster of the two. A CPU multiplies by one library and convolves by another, and on
    processors that the first was not written for the second does more than twice as much.
    """
    best = 0.0
    for scale in (8, 4, 2, 1):
        works = _works(device, _TYPES[precision], scale)
        rates, seconds = zip(*(_rate(flops, work, device) for flops, work in works), strict=True)
        best = max(best, *rates)
        if max(seconds) > _PATIENCE:
            break
    return best / 1e12


def _works(device: torch.device, kind: torch.dtype, scale: int) -> list[tuple[int, Callable[[], object]]]:
    """Return a product and a convolution with their FLOPs, smaller by a scale on each side."""
    side, pixels = _SIDE[device.type] // scale, _PIXELS // scale
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    images = torch.randn(4, 256, pixels, pixels, device=device, dtype=kind)
    kernel = torch.randn(256, 256, 3, 3, device=device, dtype=kind)
    return [
        (2 * side**3, lambda: left @ right),
        (2 * images.numel() * kernel[0].numel(), lambda: functional.conv2d(images, kernel, padding=1)),
    ]


def _rate(flops: int, work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return FLOPs a second, and the seconds that the work takes."""
    seconds = timed(work, device)
    if seconds < _PATIENCE:
        seconds = statistics.median(timed(work, device) for _ in range(5))
    return flops / seconds, seconds


def memory() -> int:
    """Return the bytes of a GPU's memory that tensors take now."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def peak_memory(act: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes of a GPU that are taken while work is repeated; elsewhere the process's most so far."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(5):
        act()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)
