"""A plugin that kills one process, as P2PKIT_TEST_KILL says: "RANK TIME MODULE:NAME", when that is called so often.

With P2PKIT_TEST_MACHINE the torchrun that has started it goes too, as where a machine is lost.
"""

import functools
import importlib
import os
import signal

RANK, TIME, PLACE = os.environ["P2PKIT_TEST_KILL"].split(" ")


def kill_at(time, place):
    module, _, name = place.partition(":")
    *owners, last = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    before, calls = getattr(owner, last), []

    @functools.wraps(before)
    def counted(*given, **named):
        calls.append(1)
        if len(calls) == time:
            if os.environ.get("P2PKIT_TEST_MACHINE"):
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*given, **named)

    setattr(owner, last, counted)


if os.environ.get("RANK") == RANK and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
    if PLACE == "import":
        os.kill(os.getpid(), signal.SIGKILL)
    kill_at(int(TIME), PLACE)
