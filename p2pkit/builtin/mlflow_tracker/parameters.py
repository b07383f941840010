"""From a run to MLflow's parameters and tags: short names, plain values, no machine's paths."""

from __future__ import annotations

import re
from pathlib import Path

from p2pkit import Run, flat_config


def parameters(run: Run) -> dict[str, str]:
    """Return what makes runs differ: the resolved config flattened by dots, and what the engine settled."""
    flat = {key: value for key, value in flat_config(run.config).items() if not _is_path(value)}
    flat |= {_fact(key): value for key, value in flat_config(run.facts).items()}
    if run.kind == "training":
        flat.setdefault("size.discriminator", 0)  # MLflow draws no run that an axis has no value of
    return {name(key): str(value) for key, value in flat.items()}


def tags(run: Run) -> dict[str, str]:
    """Return what is worth knowing of a run but not comparing."""
    versions = {f"version.{key}": value for key, value in run.versions.items()}
    paths = {key: value for key, value in flat_config(run.config).items() if _is_path(value)}
    own = {"kind": run.kind, "folder": str(run.folder.absolute()), **versions, **run.facts, **paths}
    return {name(f"p2pkit.{key}"): str(value) for key, value in own.items()} | dict(run.config["tracking"]["tags"])


def name(text: str) -> str:
    """Return a text with only what MLflow allows in the names of parameters, metrics and tags."""
    parts = re.sub(r"[^\w\-. :/]", "_", text).split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _fact(key: str) -> str:
    """Name a network's size so that it comes after the config's keys: MLflow picks what it draws by the alphabet."""
    return re.sub(r"^([\w.]+)_parameters$", r"size.\1", key)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()
