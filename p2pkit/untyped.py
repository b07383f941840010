"""Names for what has no type, each with its reason: nowhere else is a value `Any`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Json", "Made", "Plain", "Untyped"]

Json = Any
"""What YAML and JSON hold, of which only a schema knows more: settings, parameters and records of runs."""

Plain = Mapping[str, Json]
"""Plain data by key, to be read: what can be written as YAML and JSON as it is."""

Made = Any
"""What a plugin's factory or network makes, before anything has looked at what it is."""

Untyped = Any
"""What a library takes or gives without saying its type, or in too many forms to name."""

WRITTEN_OUT = {"Json": "Any", "Plain": "Mapping[str, Any]", "Made": "Any", "Untyped": "Any"}
"""What documentation writes for each of the names."""
