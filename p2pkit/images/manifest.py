"""Tables that list images: CSV or JSON lines, a row for each pair or source."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from p2pkit.errors import DataError, Problem
from p2pkit.untyped import Plain

Row = Plain
_NAME = "name the columns"


def manifest_rows(path: Path, columns: Sequence[str] = ("source", "target")) -> list[tuple[int, Row]]:
    """Read a table.

    Args:
        path: A file whose suffix is .csv, .jsonl, .ndjson or .json.
        columns: Those that the first line of a CSV file has to name.

    Returns:
        For each row its line and its columns.

    Raises:
        DataError: The table can't be read, has no rows or lacks columns.
    """
    rows = _READERS.get(path.suffix.lower())
    if rows is None:
        raise _problem(f"{path} is no manifest by its suffix", f"known are {', '.join(_READERS)}")
    try:
        numbered = list(rows(path, columns))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _problem(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not numbered:
        raise _problem(f"{path} lists no pairs")
    return numbered


def is_manifest(path: Path) -> bool:
    """Say whether a file is a table by its suffix."""
    return path.suffix.lower() in _READERS


def paths_of(value: object) -> list[str]:
    """Return the paths in a column, which holds one or a list; none where any of them is not text."""
    paths = value if isinstance(value, list) else [value]
    texts = [path for path in paths if isinstance(path, str) and path]
    return texts if len(texts) == len(paths) else []


def _csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        missing = [column for column in columns if column not in (table.fieldnames or ())]
        if missing:
            header = ", ".join(table.fieldnames or ()) or "empty"
            raise _problem(f"{path} has no column {' and '.join(missing)}; its first line is {header}", _NAME)
        for row in table:
            yield table.line_num, row


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _problem(f"{path}, line {number}: not JSON: {error}", "write one object on each line") from None
            if not isinstance(row, dict):
                raise _problem(f"{path}, line {number}: not an object", "write one object on each line")
            yield number, row


_READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[tuple[int, Row]]]] = {
    ".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines
}  # fmt: skip


def _problem(cause: str, remedy: str = "") -> DataError:
    return DataError(Problem("", cause, remedy))
