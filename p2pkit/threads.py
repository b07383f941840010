"""The threads that torch computes with: how many, and how long one spins for others; settled before torch is loaded."""

from __future__ import annotations

import math
import os
from pathlib import Path

SPINS = "1000"
"""How often a thread looks whether the others are there before it sleeps: some 30 microseconds.

OpenMP's own 300,000 are milliseconds, in which it keeps whom it waits for from the core.
"""
OWN_SPINS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
CGROUP = Path("/sys/fs/cgroup")


def settle_threads() -> None:
    """Set OpenMP's variables, as far as the user has not: torch and the processes that are started read them."""
    if not any(name in os.environ for name in OWN_SPINS):
        os.environ["GOMP_SPINCOUNT"] = SPINS
    granted = granted_cores()
    if granted is not None and granted < len(_allowed()):
        os.environ.setdefault("OMP_NUM_THREADS", str(granted))


def granted_cores(cgroup: Path = CGROUP) -> int | None:
    """Return how many cores' time a container may use, which is not how many it sees; None where there is no limit.

    Args:
        cgroup: Where the kernel tells it, as cgroups of version 2 or 1.
    """
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return None
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return max(1, math.ceil(share)) if share > 0 else None


def _allowed() -> set[int]:
    """Return the cores that this process may run on, where the system knows that."""
    affinity = getattr(os, "sched_getaffinity", None)
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))
