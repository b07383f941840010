"""What sbatch refuses, in a sentence."""

from __future__ import annotations

import p2pkit


def refusal(said: str) -> p2pkit.Problem:
    """Return what sbatch has said as a problem for users."""
    first = next(iter(said.strip().splitlines()), "it doesn't say why").removeprefix("sbatch: error: ")
    return p2pkit.Problem("executor", f"Slurm doesn't take the job: {first}", "see its cpus, gpus, memory and params")
