"""The most that a machine can do."""

from __future__ import annotations

import statistics

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
