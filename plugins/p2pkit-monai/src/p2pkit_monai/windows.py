"""Windows: which values become -1 and 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

NAMED = {
    "brain": (40.0, 80.0),
    "subdural": (75.0, 200.0),
    "stroke": (40.0, 40.0),
    "bone": (400.0, 1800.0),
    "soft_tissue": (50.0, 400.0),
    "mediastinum": (50.0, 350.0),
    "lung": (-600.0, 1500.0),
    "liver": (30.0, 150.0),
    "ct": (1023.5, 4095.0),
}
"""Level and width in Hounsfield units, as radiologists use them; `ct` is all that 12 bits hold, -1024 to 3071."""
Name = Literal["brain", "subdural", "stroke", "bone", "soft_tissue", "mediastinum", "lung", "liver", "ct"]
_SAID = "Window of the {}s: a name, or [level, width] in their units; null: each volume by its percentiles."
_Pair = tuple[float, Annotated[float, Field(gt=0)]]
Window = Name | _Pair | None
SourceWindow = Annotated[Window, Field(description=_SAID.format("source"))]
TargetWindow = Annotated[Window, Field(description=_SAID.format("target"))]


def ends(window: Name | tuple[float, float]) -> tuple[float, float]:
    """Return the values that become -1 and 1."""
    level, width = NAMED[window] if isinstance(window, str) else window
    return level - width / 2, level + width / 2
