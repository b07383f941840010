"""The command line: parse, call, print."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, cast

import typer

from p2pkit.children import SAFE_PATH
from p2pkit.cli import (
    bench,
    bridge,
    catalog,
    comparing,
    data,
    exporting,
    plugins,
    runs,
    serving,
    testing,
    tracking,
    translating,
)
from p2pkit.cli.groups import Command, Group, Interrupted, usage_problem
from p2pkit.cli.output import plain_lines, survive_any_encoding
from p2pkit.engine.distributed.world import world
from p2pkit.errors import P2pkitError, Problem
from p2pkit.threads import settle_threads
from p2pkit.untyped import Untyped

_UsageError = cast(
    type[Exception], typer.BadParameter.__mro__[2]
)  # the base of them all, which typer itself does not export

app = typer.Typer(
    name="p2pkit",
    cls=Group,
    help="Paired image-to-image translation with conditional GANs, assembled from plugins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no type beside a flag, no word split, and any encoding
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (runs, translating, comparing, exporting, serving, bridge, catalog, plugins, testing):
    for command in module.COMMANDS:
        app.command(command.__name__.rstrip("_").replace("_", "-"), cls=Command)(command)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(tracking.app, name="tracking")


_TRACEBACK = "--traceback"


def _version(wanted: bool) -> None:
    if wanted:
        from p2pkit import __version__

        typer.echo(f"p2pkit {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    traceback_: bool = typer.Option(False, _TRACEBACK, help="Show where an unforeseen error came from."),
) -> None:
    """Paired image-to-image translation with conditional GANs, assembled from plugins."""


def main() -> None:
    """Run the command line, the one door for errors: 2 for those of users, 1 for unforeseen ones; no traceback."""
    os.environ.update(SAFE_PATH)  # also for processes that libraries start
    settle_threads()
    survive_any_encoding()
    arguments = [argument for argument in sys.argv[1:] if argument != _TRACEBACK]  # it may stand anywhere
    try:
        with plain_lines():
            sys.exit(app(arguments, prog_name="p2pkit", standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(1)
    except Interrupted as ended:
        typer.echo(f"stopped by {ended.signal.name}", err=True)
        sys.exit(128 + ended.signal)
    except _UsageError as error:
        _tell_usage(error)
        sys.exit(2)
    except Exception as error:
        for_user = _for_user(error)
        if _speaks():
            _tell_unforeseen(error) if for_user is None else _tell(for_user.problems)
        _exit(error, 1 if for_user is None else 2)


def _for_user(error: Exception) -> P2pkitError | None:
    """Return the error as one for users, which what a disk refuses is too, whoever was told first."""
    if isinstance(error, P2pkitError):
        return error
    from p2pkit.atomic_files import is_refusal, refusal

    if not (isinstance(error, OSError) and is_refusal(error)):
        return None
    return refusal(Path(error.filename or "a file"), error)


def _tell(problems: Sequence[Problem]) -> None:
    typer.echo("error:" if len(problems) == 1 else f"{len(problems)} errors:", err=True)
    for problem in problems:
        typer.echo("  " + str(problem).replace("\n", "\n  "), err=True)


def _tell_usage(error: Untyped) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    elif world().main:
        _tell([usage_problem(error)])


def _tell_unforeseen(error: Exception) -> None:
    from p2pkit.cli.crash import summary, write_report

    typer.echo(f"error:\n  {summary(error)}", err=True)
    file = write_report(error)
    if file is not None:
        typer.echo(f"  -> all about it is in {file}; where it is no fault of yours, please report it", err=True)


def _exit(error: Exception, code: int) -> NoReturn:
    """End with a code; show the traceback before, where it is asked for."""
    if _TRACEBACK in sys.argv[1:]:
        traceback.print_exception(error)
    sys.exit(code)


def _speaks() -> bool:
    """Whether it falls to this process to tell the error, which several may have."""
    if not world().several:
        return True
    from p2pkit.engine.distributed.failure import is_reporter

    return is_reporter()
