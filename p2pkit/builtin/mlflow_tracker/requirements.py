"""What has to be installed where a model runs: only what can be."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from importlib.metadata import Distribution

from p2pkit import Run

_RUNS = ("torch", "numpy", "pillow")


def requirements(run: Run) -> tuple[list[str], list[str]]:
    """List the distributions that a run's model needs: torch, p2pkit, and those of the plugins its config names.

    Args:
        run: The run.

    Returns:
        Requirements that pip can install; and those it can't, `name version`, since they were installed from a folder.
    """
    found = [importlib.metadata.distribution(name) for name in ("p2pkit", *_RUNS)]
    found += _plugins(run)
    lines = {each.name: _requirement(each) for each in found}
    local = [f"{each.name} {each.version}" for each in found if lines[each.name] is None]
    return [line for line in lines.values() if line is not None], list(dict.fromkeys(local))


def _plugins(run: Run) -> Iterator[Distribution]:
    named = json.dumps(dict(run.config), default=str)
    for entry in importlib.metadata.entry_points(group="p2pkit.plugins"):
        if entry.dist is not None and entry.name in run.versions and f'"{entry.name}:' in named:
            yield entry.dist


def _requirement(distribution: Distribution) -> str | None:
    """Return what installs a distribution again: from an index, or from where a repository says that it came."""
    name, version = distribution.name, distribution.version.partition("+")[0]
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    address = str(origin.get("url", ""))
    if "vcs_info" in origin and not address.startswith("file:"):
        vcs = origin["vcs_info"]
        return f"{name} @ {vcs['vcs']}+{address}@{vcs['commit_id']}"
    if address.startswith("file:"):
        return None
    return f"{name} @ {address}" if address else f"{name}=={version}"
