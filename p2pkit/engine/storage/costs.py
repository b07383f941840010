"""What a run costs, beside what it scores: in a file of its folder, for comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

COSTS = "costs.json"
PARAMETERS, SPEED = "parameters", "images/s"
COSTS_MORE_IS_BETTER = {PARAMETERS: False, SPEED: True}


def save_costs(folder: Path, parameters: int, images_per_second: float | None) -> None:
    """Write the generator's size and the speed of training; one that trained nothing more keeps its speed."""
    found = {PARAMETERS: parameters, SPEED: images_per_second}
    known = {name: value for name, value in found.items() if value is not None}
    (folder / COSTS).write_text(json.dumps({**load_costs(folder), **known}), encoding="utf-8")


def load_costs(folder: Path) -> Mapping[str, float]:
    """Read them; nothing where an older p2pkit wrote the folder, or the run has not ended."""
    try:
        return {str(name): float(value) for name, value in json.loads((folder / COSTS).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def cost(name: str, value: float) -> str:
    """Write a cost as people read it."""
    return f"{value:,.0f}" if name == PARAMETERS or value >= 100 else f"{value:.3g}"
