"""What Slurm says of jobs, by squeue: submitit asks sacct, which many clusters don't have."""

from __future__ import annotations

from p2pkit.untyped import Untyped
from submitit.slurm.slurm import SlurmInfoWatcher

_OVER = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "REVOKED",
    "TIMEOUT",
)
_GONE = "GONE"
"""The state of a job that Slurm has forgotten, as it does some minutes after its end."""


class Queue(SlurmInfoWatcher):  # type: ignore[misc]  # mypy does not look into submitit
    """Asks for all of this user's jobs at once, every two seconds at first and every half a minute later."""

    def __init__(self) -> None:
        super().__init__(delay_s=30)

    def hasten(self) -> None:
        """Ask every two seconds from now on."""
        self._delay_s = 2

    def _make_command(self) -> list[str] | None:
        asked = ["squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%N"]
        return asked if self._registered - self._finished else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Return what is known of each job."""
        text = string if isinstance(string, str) else string.decode()
        rows = [line.strip().split("|") for line in text.splitlines() if line.count("|") == 2]
        told: Untyped = {number: {"JobID": number, "State": state, "NodeList": nodes} for number, state, nodes in rows}
        return {**{number: {"State": _GONE} for number in self._registered}, **told}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Tell whether a job has ended for good."""
        return self.get_state(job_id, mode=mode) in (*_OVER, _GONE)
