"""What trackers have of runs here: whether something has not got through, or a run was killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from p2pkit.doctor.finding import Finding
from p2pkit.errors import P2pkitError
from p2pkit.plugins.events import replay
from p2pkit.registry import load_registry


def look(folder: Path, registry_file: Path | None, plugin_files: Sequence[Path]) -> Iterator[Finding]:
    """Let trackers send what is left, and end the records of runs that were killed."""
    if not folder.is_dir():
        return
    try:
        lines = replay(load_registry(registry_file, plugin_files=plugin_files).plugins, folder)
    except P2pkitError as error:
        for problem in error.problems:
            cause = f"not all runs have got through: {problem.cause}"
            yield Finding("store", str(folder), "note", cause, f"once it answers: p2pkit tracking replay {folder}")
        return
    except OSError as error:  # a folder that can only be read, a full disk
        cause = f"not all runs have got through: {error.filename or folder}: {(error.strerror or str(error)).lower()}"
        yield Finding("store", str(folder), "note", cause, f"once it can be written: p2pkit tracking replay {folder}")
        return
    for line in "\n".join(lines).splitlines():
        yield Finding("store", str(folder), "note", line)
