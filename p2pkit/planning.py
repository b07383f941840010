"""Plans: of a config, and of a model with the plugins that it brings along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from p2pkit.config import Plan, load_config, resolve
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.state import described, read_state
from p2pkit.plugins.one_file import named_plugins
from p2pkit.registry import Registry, load_registry
from p2pkit.untyped import Plain


def plan_run(config: str | Path | Plain, overrides: Plain, registry: Registry | None) -> Plan:
    """Resolve a config; its problems are told when it is used."""
    return resolve(load_config(config, overrides), registry or load_registry())


def plan_of(checkpoint: Path, overrides: Plain, registry: Registry | None) -> Plan:
    """Resolve a checkpoint's config; its networks need none of the weights that they once began with."""
    return loaded(plan_run(read_config(checkpoint), overrides, registry))


def loaded(plan: Plan) -> Plan:
    """Return a plan whose networks are loaded from a checkpoint."""
    networks = {key: getattr(plan, key) for key in ("generator", "discriminator")}
    return replace(plan, **{key: replace(part, loaded=True) for key, part in networks.items() if part is not None})


def with_brought(registry: Registry, checkpoint: Path, *, needed: Sequence[str] = ()) -> Registry:
    """Return the names in force with those of the one-file plugins that a checkpoint, or its run, brings along.

    Args:
        registry: The names in force.
        checkpoint: The checkpoint's folder.
        needed: The keys of the config that matter; by default all.

    Raises:
        PluginError: A plugin is not trusted.
    """
    config = read_config(checkpoint)
    wanted = {key: value for key, value in config.items() if not needed or key in needed}
    names = named_plugins([wanted, described(read_state(checkpoint)["images"])])  # which say who reads sources
    return registry.with_brought(names, checkpoint, run_of(checkpoint) or checkpoint)
