"""Random numbers of the suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded() -> Iterator[None]:
    """Let a rule draw from a seed of its own, and leave the caller's random numbers alone."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.enable_grad():
        torch.manual_seed(0)
        yield
