"""The most that a machine can do."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable

import torch
from torch.nn import functional

from p2pkit.engine.machine import timed

_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def ceiling(device: torch.device, precision: str) -> float:
    """Measure the most to be had here, in TFLOP/s: a large matrix product's rate, or a large convolution's.

    On a GPU the product is the faster of the two. A CPU multiplies by one library and convolves by another, and on
    processors that the first was not written for the second does more than twice as much.
    """
    kind = _TYPES[precision]
    side = _SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    images, kernel = (torch.randn(shape, device=device, dtype=kind) for shape in ((4, 256, 64, 64), (256, 256, 3, 3)))
    works = (
        (2 * side**3, lambda: left @ right),
        (2 * images.numel() * kernel[0].numel(), lambda: functional.conv2d(images, kernel, padding=1)),
    )
    rates = [flops / statistics.median([timed(work, device) for _ in range(6)][1:]) for flops, work in works]
    return max(rates) / 1e12


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
