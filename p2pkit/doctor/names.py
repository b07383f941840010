"""Which registry.yaml is in force, and what became of each plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from p2pkit.doctor.finding import Finding
from p2pkit.errors import P2pkitError
from p2pkit.plugins.finding import OWN
from p2pkit.plugins.loading import Plugin
from p2pkit.registry import FILE, Registry, load_registry

_PLUGINS = "plugins"


def look(path: Path | None, plugin_files: Sequence[Path]) -> Iterator[Finding]:
    """Look at the names in force and at every plugin that was found."""
    try:
        registry = load_registry(path, plugin_files=plugin_files)
    except P2pkitError as error:
        for problem in error.problems:
            cause = f"{problem.path}: {problem.cause}" if problem.path else problem.cause
            yield Finding("names", FILE, "broken", cause, problem.remedy)
        return
    packaged = registry.origin == FILE and path is None
    yield Finding("names", FILE, "fine", "the one that ships with p2pkit" if packaged else registry.origin)
    yield from _collisions(registry)
    registry.plugins.import_all()
    for plugin in registry.plugins.found:
        if plugin.origin != OWN or plugin.state != "loaded":
            yield _plugin(plugin, registry.origin)


def _plugin(plugin: Plugin, origin: str) -> Finding:
    source = f"{plugin.origin} {plugin.version}".strip()
    if plugin.state == "loaded":
        offered = [f"{component.kind} {component.name}" for component in plugin.components]
        heard = [event.removeprefix("p2pkit_") for event in plugin.events]
        fact = "; ".join(filter(None, (source, ", ".join(offered), f"hears of {', '.join(heard)}" if heard else "")))
        if plugin.left_out:
            cause = f"{fact}; left out: {'; '.join(plugin.left_out)}"
            return Finding(_PLUGINS, plugin.name, "broken", cause, f"mend or upgrade {plugin.origin}")
        return Finding(_PLUGINS, plugin.name, "fine", fact)
    if plugin.state == "failed":
        remedy = f"mend or upgrade {plugin.origin}, or add {plugin.name} to plugins.block in {FILE}"
        return Finding(_PLUGINS, plugin.name, "broken", f"{source}: {plugin.error}", remedy)
    return Finding(_PLUGINS, plugin.name, "note", f"{source}: {plugin.state} in {origin}")


def _collisions(registry: Registry) -> Iterator[Finding]:
    """Name what several plugins offer and nothing settles; it is an error only where a config uses it."""
    for (kind, name), problem in registry.contested().items():
        yield Finding("names", f"{kind} {name}", "note", problem.cause, problem.remedy)
