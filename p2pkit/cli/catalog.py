"""Commands that tell what there is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from p2pkit.atomic_files import atomic_file
from p2pkit.cli.options import AsJson, PluginFiles, RegistryFile, registry


def list_(
    kind: Annotated[str | None, typer.Argument(help="generator, discriminator, loss, ... or recipe.")] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with all parameters instead.")
    ] = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """List components, aliases and recipes."""
    from p2pkit.catalog import RECIPE, entries, singular
    from p2pkit.cli.lists import print_entries

    plain = kind is not None and singular(kind) == RECIPE and html is None
    names = None if plain else registry(registry_file, plugin)
    found = entries(names, kind)
    if html is not None and names is not None:
        from p2pkit import __version__
        from p2pkit.cli.page import page

        _write(html, page(names, found, __version__))
        typer.echo(f"wrote {html}")
    elif as_json:
        typer.echo(json.dumps([dataclasses.asdict(entry) for entry in found], indent=2))
    else:
        print_entries(found)


def show(
    name: Annotated[str, typer.Argument(help="A component, an alias or a recipe.")],
    kind: Annotated[str | None, typer.Option("--kind", help="Its kind, where several know the name.")] = None,
    as_json: AsJson = False,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Show a component's parameters and docstring, or a recipe's keys."""
    from p2pkit.catalog import describe
    from p2pkit.cli.lists import print_component

    about = describe(registry(registry_file, plugin), name, kind)
    if as_json:
        typer.echo(json.dumps(about, indent=2, default=str))
    elif "text" in about:
        typer.echo(about["text"])
    else:
        print_component(about)


def plugins(as_json: AsJson = False, plugin: PluginFiles = None, registry_file: RegistryFile = None) -> None:
    """Show which plugins were found, what each offers, and why one failed."""
    from p2pkit.catalog import plugin_entries
    from p2pkit.cli.lists import print_plugins

    found = plugin_entries(registry(registry_file, plugin))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        print_plugins(found)


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; by default print.")] = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Print the JSON schema of configs, with every component's parameters, for your editor."""
    from p2pkit.config import config_schema

    text = json.dumps(config_schema(registry(registry_file, plugin)), indent=2, default=str)
    if output is None:
        typer.echo(text)
    else:
        _write(output, text + "\n")


def _write(file: Path, text: str) -> None:
    with atomic_file(file) as partial:
        partial.write_text(text, encoding="utf-8")


COMMANDS = (list_, show, plugins, schema)
