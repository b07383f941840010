"""The command line: parse, call, print."""

from __future__ import annotations

import sys

import typer

from p2pkit.cli import bench, bridge, catalog, data, plugins, runs, testing, tracking
from p2pkit.engine.distributed.world import world
from p2pkit.errors import P2pkitError

app = typer.Typer(
    name="p2pkit",
    help="Paired image-to-image translation with conditional GANs, assembled from plugins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (runs, bridge, catalog, plugins, testing):
    for command in module.COMMANDS:
        app.command(command.__name__.rstrip("_").replace("_", "-"))(command)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(tracking.app, name="tracking")


def _version(wanted: bool) -> None:
    if wanted:
        from p2pkit import __version__

        typer.echo(f"p2pkit {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Paired image-to-image translation with conditional GANs, assembled from plugins."""


def main() -> None:
    """Run the command line; an error for users is printed without a traceback, and the exit code is 2."""
    try:
        app()
    except P2pkitError as error:
        if _speaks():
            count = len(error.problems)
            typer.echo("error:" if count == 1 else f"{count} errors:", err=True)
            for problem in error.problems:
                typer.echo("  " + str(problem).replace("\n", "\n  "), err=True)
        sys.exit(2)


def _speaks() -> bool:
    """Whether it falls to this process to tell the error, which several may have."""
    if not world().several:
        return True
    from p2pkit.engine.distributed.failure import is_reporter

    return is_reporter()
