"""Slurm for p2pkit: sweeps and translations as jobs of a cluster that people already have."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_slurm.executor import Slurm

P2PKIT_PLUGIN_API = 2

__all__ = ["Slurm"]


@p2pkit.hookimpl
def p2pkit_executors() -> Iterator[p2pkit.Executor]:
    """Offer Slurm."""
    yield p2pkit.Executor("slurm", Slurm)
