"""What runs as a job."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import p2pkit
from p2pkit.untyped import Plain


def do(work: Plain, told: str) -> Plain:
    """Do a piece of work.

    submitit has made the process deaf for SIGTERM, by which Slurm cancels a job; and before a job's time is over it is
    sent SIGUSR2. Both end the work here, which saves what it has.

    Args:
        work: The fields of a `p2pkit.Work`.
        told: The file that takes what it tells, one line of JSON each.

    Returns:
        What `p2pkit.do_work` returns.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGUSR2, lambda *_: signal.raise_signal(signal.SIGTERM))
    with Path(told).open("a", encoding="utf-8", buffering=1) as lines:
        return p2pkit.do_work(p2pkit.Work(**work), lambda said: print(json.dumps(said), file=lines))
