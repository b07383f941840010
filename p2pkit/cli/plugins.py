"""Commands for those who write plugins, and for those whose plugins don't work."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from p2pkit.cli.options import AsJson, PluginFiles, RegistryFile

Kind = Literal[
    "generator",
    "discriminator",
    "loss",
    "dataset",
    "augmentation",
    "metric",
    "optimizer",
    "schedule",
    "tracker",
    "reader",
    "executor",
]


def new_plugin(
    name: Annotated[str, typer.Argument(help="The distribution's name, e.g. acme-unets.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What it offers to begin with.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where to make its folder.")] = Path(),
) -> None:
    """Write a plugin to begin with: a whole distribution, with a working component and its tests."""
    from p2pkit import scaffold

    folder = scaffold.new_plugin(name, kind, into)
    typer.echo(f"wrote {folder}; next:")
    for line in (f"cd {folder}", 'pip install -e ".[test]"', "p2pkit plugins", "pytest", "p2pkit train example.yaml"):
        typer.echo(f"  {line}")


def doctor(as_json: AsJson = False, plugin: PluginFiles = None, registry_file: RegistryFile = None) -> None:
    """Look for what is wrong with this installation: packages, devices, plugins, MLflow's store; 1 if anything is."""
    from p2pkit.cli.tables import print_findings
    from p2pkit.doctor import examine

    findings = examine(registry_file, plugin or ())
    broken = any(finding.state == "broken" for finding in findings)
    if as_json:
        found = [dataclasses.asdict(finding) for finding in findings]
        typer.echo(json.dumps({"fine": not broken, "findings": found}, indent=2))
    else:
        print_findings(findings)
    sys.exit(1 if broken else 0)


COMMANDS = (new_plugin, doctor)
