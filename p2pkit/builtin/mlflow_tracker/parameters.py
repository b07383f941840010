"""From a run to MLflow's parameters and tags: short names, plain values, no machine's paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from p2pkit import Run

_NOT_PARAMETERS = ("summary", "origin", "tracking")


def parameters(run: Run) -> dict[str, str]:
    """Return what makes runs differ: the resolved config flattened by dots, and the numbers the engine settled."""
    config = {key: value for key, value in run.config.items() if key not in _NOT_PARAMETERS}
    flat = {key: value for key, value in _flatten("", config) if not _is_path(value)}
    flat |= {key: value for key, value in run.facts.items() if type(value) in (int, float)}
    return {name(key): _text(value) for key, value in flat.items()}


def tags(run: Run) -> dict[str, str]:
    """Return what is worth knowing of a run but not comparing."""
    config = {key: value for key, value in run.config.items() if key not in _NOT_PARAMETERS}
    versions = {f"version.{key}": value for key, value in run.versions.items()}
    paths = {key: value for key, value in _flatten("", config) if _is_path(value)}
    own = {"kind": run.kind, "folder": str(run.folder.absolute()), **versions, **run.facts, **paths}
    return {name(f"p2pkit.{key}"): _text(value) for key, value in own.items()} | dict(run.config["tracking"]["tags"])


def name(text: str) -> str:
    """Return a text with only what MLflow allows in the names of parameters, metrics and tags."""
    parts = re.sub(r"[^\w\-. :/]", "_", text).split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of all that is set; a list of components becomes its names and a branch for each."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not _repeats_its_name(path, key, value):
                yield from _flatten(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "use" in item for item in value):
        names = [str(item.get("alias") or item["use"]) for item in value]
        yield path, ", ".join(names)
        for index, (called, item) in enumerate(zip(names, value, strict=True)):
            again = names[:index].count(called)
            branch = f"{called}_{again + 1}" if again else called
            yield from _flatten(f"{path}.{branch}", item.get("params", {}))
    elif value not in (None, "", []):
        yield path, value


def _repeats_its_name(path: str, key: str, component: Mapping[str, Any]) -> bool:
    """Say whether a loss's alias tells nothing new; that of a network stays, as runs are compared by it."""
    repeats = str(component.get("use")).endswith(f":{component.get('alias')}")
    return key == "alias" and path.startswith("losses.") and repeats


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
