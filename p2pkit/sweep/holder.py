"""Who works on a trial: its machine knows at once whether that process lives, others by its latest sign of life.

Of Optuna's storages only databases have heartbeats; an attribute of the trial is the same in all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from p2pkit.children import PATIENCE, sign_of_life, still_lives

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

BEAT = 30.0
"""Seconds between two signs of life."""
_HOLDER = "holder"


@contextmanager
def held(trial: Trial, name: str = "") -> Iterator[None]:
    """Context in which a trial is this process's, and a thread gives signs of life.

    Args:
        trial: The trial.
        name: What the process is called by who has begun it, and who may know first that it is lost.
    """
    done = threading.Event()

    def sign() -> None:
        trial.set_user_attr(_HOLDER, sign_of_life(name))

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(Exception):  # a storage that is away for a moment; the next beat may reach it
                sign()

    sign()
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()


def is_alive(trial: FrozenTrial) -> bool:
    """Tell whether the process that works on a trial lives."""
    if _HOLDER not in trial.user_attrs:  # it was taken a moment ago, or whoever did that has died just then
        begun = trial.datetime_start or datetime.now()
        return (datetime.now() - begun).total_seconds() < PATIENCE
    return still_lives(trial.user_attrs[_HOLDER])


def is_held_by(trial: FrozenTrial, name: str) -> bool:
    """Tell whether a process of this name works on a trial."""
    return name in trial.user_attrs.get(_HOLDER, ())[4:]
