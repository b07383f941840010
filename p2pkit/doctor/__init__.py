"""What is installed here, what of it works, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from p2pkit.doctor import devices, names, packages, records, store
from p2pkit.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine(registry_file: Path | None = None, plugin_files: Sequence[Path] = ()) -> list[Finding]:
    """Look at everything that a run depends on besides its config.

    Nothing is changed or created, except that trackers end the records of runs that were killed.

    Args:
        registry_file: The registry.yaml to use, as in other commands.
        plugin_files: One-file plugins.

    Returns:
        What was found, by part.
    """
    return [
        *packages.look(),
        *devices.look(),
        *names.look(registry_file, plugin_files),
        *store.look(),
        *store.look_at_folder(Path("runs")),
        *records.look(Path("runs"), registry_file, plugin_files),
    ]
