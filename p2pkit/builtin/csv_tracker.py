"""Record what is measured as a table in the run's folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

import p2pkit

_HEADER = ["step", "name", "value"]


class CsvTracker:
    """Writes every number to a file in the run's folder, a line each: step, name, value.

    Losses have the names that MLflow has, scores `SPLIT/METRIC`. A resumed run goes on with the file, and what it
    measures anew replaces what was there.
    """

    def __init__(
        self,
        run: p2pkit.Run,
        *,
        file: Annotated[
            str, Field(pattern=r"^[^/\\.][^/\\]*$", description="Name of the file in the run's folder.")
        ] = "scalars.csv",
    ) -> None:
        self._path = run.folder / file
        self._again = run.resumed and self._path.is_file()
        if not self._again:
            _write(self._path, [_HEADER], "w")

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write what was measured."""
        self._append(step, scalars)

    def evaluated(self, step: int, report: p2pkit.Report, samples: p2pkit.Samples) -> None:
        """Write scores."""
        self._append(step, {f"{report.split}/{name}": value for name, value in report.metrics.items()})

    def went_back(self, step: int) -> None:
        """Drop what was measured after the step."""
        self._keep(lambda at, name: at <= step)

    def _append(self, step: int, values: Mapping[str, float]) -> None:
        if self._again:  # a run that was killed may have come farther than its last checkpoint
            self._again = False
            self._keep(lambda at, name: at < step or (at == step and name not in values))
        _write(self._path, [[step, name, value] for name, value in values.items()], "a")

    def _keep(self, wanted: Callable[[int, str], bool]) -> None:
        with self._path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in list(csv.reader(file))[1:] if len(row) == 3 and wanted(int(row[0]), row[1])]
        _write(self._path, [_HEADER, *rows], "w")


def _write(path: Path, rows: Iterable[Sequence[object]], mode: str) -> None:
    with path.open(mode, encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@p2pkit.hookimpl
def p2pkit_trackers() -> Iterator[p2pkit.Tracker]:
    """Offer the table."""
    yield p2pkit.Tracker("csv", CsvTracker)
