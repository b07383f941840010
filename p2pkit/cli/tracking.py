"""Commands about the trackers that runs are recorded in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pkit.cli.groups import Command, Group
from p2pkit.cli.options import PluginFiles, RegistryFile, registry

app = typer.Typer(cls=Group, help="What trackers have of runs, MLflow among them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """What trackers have of runs, MLflow among them."""


@app.command(cls=Command)
def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, name or MLflow's id; a folder of runs.")],
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Send what a run could not get through to MLflow; what has arrived is not sent again."""
    from p2pkit.engine.storage.find import find_run
    from p2pkit.plugins.events import replay as send

    folder = Path(run) if Path(run).is_dir() else find_run(run)
    for line in send(registry(registry_file, plugin).plugins, folder) or [f"{folder}: nothing is left to send"]:
        typer.echo(line)
