"""The thread that brings a run's journal to MLflow while it trains, and again and again while nobody answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from p2pkit.builtin.mlflow_tracker import store
from p2pkit.builtin.mlflow_tracker.delivery import Delivery

_PACE = 1.0
"""Seconds in which entries gather for one request."""
_SLOWEST = 10.0
"""Seconds between two tries while nobody answers."""
PATIENCE = 15.0
"""Seconds that the end of a run waits while nothing arrives."""
_LONGEST = 900.0
"""Seconds that it waits at most, while a server that answers takes in something large."""
_AT_ONCE = 1.0
"""Seconds that are left for a request once nobody wants to wait any more."""


class Sender(threading.Thread):
    """Sends one journal.

    Args:
        delivery: What sends.
        uri: The store's address.
        first: Called once the store has answered; what it raises is its own affair.
    """

    def __init__(self, delivery: Delivery, uri: str, first: Callable[[], object] = lambda: None) -> None:
        super().__init__(name=f"p2pkit-mlflow-{delivery.run_id}", daemon=True)
        self.delivery = delivery
        self.uri = uri
        self.outage = ""
        """Why nothing arrives at present; empty while all is well."""
        self._first = first
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._failures = 0
        self._arrived = time.monotonic()

    def run(self) -> None:
        """Send until all has been sent after `drain` was called, or that gave up."""
        with store.limited(), store.hushed():
            while not self._given_up.is_set():
                self._try()
                closing = self._closing.is_set()
                if closing and not self.outage:
                    return
                pause = min(_PACE * 2**self._failures, _PACE if closing else _SLOWEST)
                (self._given_up if closing else self._closing).wait(pause)

    def _try(self) -> None:
        try:
            self.delivery.forward(self._take_note)
        except Exception as error:  # whatever it was, the entry is still in the journal
            self.outage = _cause(error)
            self._failures += 1
            return
        self._arrived = time.monotonic()
        self.outage, self._failures = "", 0
        first, self._first = self._first, lambda: None
        with suppress(Exception):
            first()

    def _take_note(self) -> bool:
        self._arrived = time.monotonic()
        self.outage = ""
        return not self._given_up.is_set()

    def drain(self, patience: float = PATIENCE, longest: float = _LONGEST) -> bool:
        """Wait until all has arrived, or nothing has for a while; tell which of the two.

        A signal ends the waiting: who does not want to wait has what is left in the journal.

        Args:
            patience: How many seconds nothing may arrive, unless the store answers and is busy with something large.
            longest: How many seconds it waits at most.
        """
        self._arrived = begun = time.monotonic()
        self._closing.set()
        try:
            while self.is_alive():
                self.join(0.1)
                waited = time.monotonic() - self._arrived
                if waited > patience / 2 and not self.outage and store.answers(self.uri):
                    self._arrived = time.monotonic()
                if waited > patience or time.monotonic() - begun > longest:
                    break
        finally:
            self._given_up.set()
        return not self.delivery.journal.pending

    def end_now(self, status: str) -> None:
        """Let the store say at once what became of the run, if it answers soon, although not all has arrived.

        Args:
            status: What it says until what is left has been sent.
        """

        def end() -> None:
            with suppress(Exception), store.limited(), store.hushed():
                self.delivery.client.set_terminated(self.delivery.run_id, status)

        self.join(_AT_ONCE)  # with what is under way
        if self.delivery.journal.pending and not self.outage:
            ending = threading.Thread(target=end, daemon=True)
            ending.start()
            ending.join(_AT_ONCE)


def _cause(error: Exception) -> str:
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
