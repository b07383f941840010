"""What a rule computes with: random numbers of its own, and the same arithmetic on every device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from p2pkit.engine.device.precision import full_fp32


@contextmanager
def seeded() -> Iterator[None]:
    """Let a rule draw from a seed of its own, without TF32, and leave the caller's random numbers alone."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.enable_grad(), full_fp32():
        torch.manual_seed(0)
        yield
