"""Tables that list images: CSV or JSON lines, a row for each pair or source, as any program writes them."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from p2pkit.errors import DataError, Problem
from p2pkit.untyped import Plain

Row = Plain
_NAME = "name the columns"
_OWN = ("source", "target", "split", "name")
"""Columns that are known in any case."""
_DELIMITERS = ",;\t"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def manifest_rows(path: Path, columns: Sequence[str] = ("source", "target")) -> list[tuple[int, Row]]:
    """Read a table.

    Args:
        path: A file whose suffix is .csv, .tsv, .jsonl, .ndjson or .json.
        columns: Those that the first line of a CSV file has to name.

    Returns:
        For each row its line and its columns. Where a text names a file of the table's folder by another spelling of
        its letters or slashes, or of the home folder, it is the one by which the file is found.

    Raises:
        DataError: The table can't be read, has no rows or lacks columns.
    """
    rows = _READERS.get(path.suffix.lower())
    if rows is None:
        raise _problem(f"{path} is no manifest by its suffix", f"known are {', '.join(_READERS)}")
    try:
        numbered = [(line, _as_they_lie(path.parent, row)) for line, row in rows(path, columns)]
    except UnicodeDecodeError as error:
        raise _problem(f"{path} can't be read: byte {error.start} is no UTF-8", "save the table as UTF-8") from None
    except (OSError, csv.Error) as error:
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
    with path.open(encoding=_encoding(path), newline="") as file:
        first = file.readline()
        file.seek(0)
        table = csv.DictReader(file, delimiter=max(_DELIMITERS, key=first.count), skipinitialspace=True)
        names = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = [own if (own := name.lower()) in _OWN and own not in names else name for name in names]
        missing = [column for column in columns if column not in table.fieldnames]
        if missing:
            header = ", ".join(names) or "empty"
            raise _problem(f"{path} has no column {' and '.join(missing)}; its first line is {header}", _NAME)
        for row in table:
            if any(cell.strip() if isinstance(cell, str) else cell for cell in row.values()):
                yield table.line_num, row


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF16 else "utf-8-sig"


def _as_they_lie(folder: Path, row: Row) -> Row:
    def found(value: object) -> object:
        if isinstance(value, list):
            return [found(each) for each in value]
        return _as_it_lies(folder, value) if isinstance(value, str) else value

    return {column: found(value) for column, value in row.items()}


def _as_it_lies(folder: Path, text: str) -> str:
    """Return a path by the spelling by which it is found: letters and slashes are not written alike everywhere."""
    plain = text.strip().replace("\\", "/")
    if plain.startswith("~/"):
        plain = str(Path(plain).expanduser())
    others = {plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))} - {text}
    if not others or (folder / text).is_file():
        return text
    return next((other for other in sorted(others) if (folder / other).is_file()), text)


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with path.open(encoding=_encoding(path)) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _problem(f"{path}, line {number}: not JSON: {error}", "write one object on each line") from None
            if isinstance(row, list):
                remedy = f"write one object on each line, for instance by: jq -c '.[]' {path.name} > pairs.jsonl"
                raise _problem(f"{path} is one list", remedy)
            if not isinstance(row, dict):
                raise _problem(f"{path}, line {number}: not an object", "write one object on each line")
            yield number, row


_READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[tuple[int, Row]]]] = {
    ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_lines
}  # fmt: skip


def _problem(cause: str, remedy: str = "") -> DataError:
    return DataError(Problem("", cause, remedy))
