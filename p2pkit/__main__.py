"""The command line's door: `p2pkit`, and `python -m p2pkit`, as torchrun starts it."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType

from p2pkit.errors import Stopped


def main() -> None:
    """Hear signals first, then import the command line, which takes a while, and run it."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        try:
            from p2pkit.cli import main as run

            run()
        finally:
            _hear_no_more()
            gc.freeze()  # Python would go through millions of objects several times at its end, which takes seconds
    except KeyboardInterrupt as ended:
        number = signal.Signals(getattr(ended, "signal", signal.SIGINT))
        sys.stderr.write(f"stopped by {number.name}\n")
        sys.exit(128 + number)


def _hear_no_more() -> None:
    """Let a signal change neither the exit code nor end Python's own end in a traceback: all is done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


if __name__ == "__main__":
    main()
