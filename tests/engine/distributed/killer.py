"""A plugin that kills one process of a run, as P2PKIT_TEST_KILL says: "RANK MODULE:NAME", when that is first called."""

import functools
import importlib
import os
import signal

RANK, _, PLACE = os.environ["P2PKIT_TEST_KILL"].partition(" ")


def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get("RANK") == RANK:
    module, _, name = PLACE.partition(":")
    if not name:
        kill()
    *owners, last = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    setattr(owner, last, kill)
