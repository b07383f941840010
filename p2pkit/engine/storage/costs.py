"""What a run costs, beside what it scores: in a file of its folder, for comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

COSTS = "costs.json"
PARAMETERS, SPEED, ENERGY = "parameters", "images/s", "joules/image"
_PROCESSES = "processes"
PER_PROCESS, EFFICIENCY = "images/s per process", "efficiency"
"""What comparisons say of runs on more processes: the second is the first beside that of the run on the fewest."""
COSTS_MORE_IS_BETTER = {PARAMETERS: False, SPEED: True}


def save_costs(
    folder: Path,
    parameters: int,
    images_per_second: float | None,
    joules_per_image: float | None = None,
    *,
    processes: int = 1,
) -> None:
    """Write what a run cost; one that trained nothing more keeps what it took.

    Args:
        folder: The run's folder.
        parameters: The generator's size.
        images_per_second: The speed of training, of all processes together; None where nothing was trained.
        joules_per_image: The energy that it took, where that was measured.
        processes: How many processes trained.
    """
    taken = {} if images_per_second is None else {SPEED: images_per_second, _PROCESSES: processes}
    measured = {} if joules_per_image is None else {ENERGY: joules_per_image}
    known = {} if taken else _load(folder)  # of other speeds, on another machine maybe, nothing is kept
    written = {**known, PARAMETERS: parameters, **taken, **measured}
    (folder / COSTS).write_text(json.dumps(written), encoding="utf-8")


def load_costs(folder: Path) -> Mapping[str, float]:
    """Read them; nothing where an older p2pkit wrote the folder, or the run has not ended."""
    return {name: value for name, value in _load(folder).items() if name != _PROCESSES}


def load_processes(folder: Path) -> int:
    """Read how many processes trained a run; one where nothing else is known."""
    return int(_load(folder).get(_PROCESSES, 1))


def _load(folder: Path) -> Mapping[str, float]:
    try:
        return {str(name): float(value) for name, value in json.loads((folder / COSTS).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def cost(name: str, value: float) -> str:
    """Write a cost as people read it."""
    if name == EFFICIENCY:
        return f"{value:.0%}"
    return f"{value:,.0f}" if name == PARAMETERS or value >= 100 else f"{value:.3g}"
