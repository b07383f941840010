"""A tracker to begin with: a line of JSON for each event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

import p2pkit

P2PKIT_PLUGIN_API = 2


class Lines:
    """Writes what happens to a run into a file of its folder, a line of JSON for each event.

    It is made when the run begins, and an error there stops the run. One that comes later leaves the tracker out.

    Args:
        run: The run.
        file: Name of the file.
    """

    def __init__(
        self,
        run: p2pkit.Run,
        *,
        file: Annotated[str, Field(min_length=1, description="Name of the file in the run's folder.")] = "events.jsonl",
    ) -> None:
        self.path = run.folder / file
        self._write({"event": "started", "run": run.name, "resumed": run.resumed})

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write losses and speed."""
        self._write({"event": "scalars", "step": step, **scalars})

    def evaluated(self, step: int, report: p2pkit.Report, samples: p2pkit.Samples) -> None:
        """Write scores."""
        self._write({"event": "evaluated", "step": step, "split": report.split, **report.metrics})

    def ended(self, error: BaseException | None, reason: str) -> None:
        """Write how it ended; a sentence that a method returns is told to the user, as a warning."""
        self._write({"event": "ended", "error": p2pkit.first_line(error) if error else "", "reason": reason})

    def _write(self, event: Mapping[str, object]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


@p2pkit.hookimpl
def p2pkit_trackers() -> Iterator[p2pkit.Tracker]:
    """Offer this plugin's trackers."""
    yield p2pkit.Tracker("lines", Lines)
