"""A sweep on disk: what is to be run, and what has become of it; several processes may work on one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from p2pkit.atomic_files import atomic_file
from p2pkit.errors import ModelError, Problem
from p2pkit.sweep.claims import Claim, is_taken, take
from p2pkit.sweep.points import Child
from p2pkit.untyped import Json, Plain

STATE = "sweep.json"
PROGRESS = "progress"


class Store:
    """The files of a sweep: `sweep.json`, written once, and below `progress` a file for each unit of work.

    Args:
        folder: The sweep's folder.

    Raises:
        ModelError: There is no sweep in this folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            data = json.loads((folder / STATE).read_text(encoding="utf-8"))
            self.config: Plain = data["config"]
            self._planned = [_children(unit) for unit in data["units"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(Problem(str(folder), f"there is no sweep to go on with: {error}")) from None

    @classmethod
    def create(cls, folder: Path, config: Plain, units: Sequence[Sequence[Child]]) -> Store:
        """Write a new sweep's files."""
        (folder / PROGRESS).mkdir()
        data = {"config": config, "units": [list(map(asdict, unit)) for unit in units]}
        _write(folder / STATE, data)
        return cls(folder)

    @property
    def units(self) -> range:
        """The numbers of the units of work."""
        return range(len(self._planned))

    def children(self, unit: int) -> tuple[Child, ...]:
        """Return the runs of a unit as they stand now; none where Optuna has not chosen them yet."""
        try:
            return _children(json.loads(self._progress(unit).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return self._planned[unit]

    def save(self, unit: int, children: Iterable[Child]) -> None:
        """Record how a unit stands."""
        _write(self._progress(unit), list(map(asdict, children)))

    def take(self, unit: int) -> Claim | None:
        """Claim a unit for this process; None where another works on it."""
        return take(self.folder / PROGRESS, unit)

    def busy(self) -> bool:
        """Tell whether any living process works on the sweep."""
        return any(is_taken(self.folder / PROGRESS, unit) for unit in self.units)

    def _progress(self, unit: int) -> Path:
        return self.folder / PROGRESS / f"{unit:04}.json"


def _children(data: Iterable[Plain]) -> tuple[Child, ...]:
    return tuple(Child(**child) for child in data)


def _write(path: Path, data: Json) -> None:
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(data, indent=1, default=str), encoding="utf-8")
