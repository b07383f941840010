"""Random numbers: one seed for a run, and one of its own for each process."""

from __future__ import annotations

import os
import random

import numpy as np
import torch


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch, and allow deterministic algorithms only where that is asked for."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  plugins may use the global generator
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else matrix products on a GPU are refused
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


def derive_seed(seed: int, rank: int, step: int = 0) -> int:
    """Return a seed for a process's own random numbers, from a step on."""
    return int(np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)[0] >> 1)
