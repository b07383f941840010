"""Many runs that differ in a few keys: each trained, scored and shown beside the others."""

from p2pkit.sweep.plan import Planned, outline, plan
from p2pkit.sweep.points import Child
from p2pkit.sweep.result import Sweep, write_results
from p2pkit.sweep.work import join_sweep, sweep

__all__ = [
    "Child",
    "Planned",
    "Sweep",
    "join_sweep",
    "outline",
    "plan",
    "sweep",
    "write_results",
]
