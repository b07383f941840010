"""Commands for many runs: sweeps, comparisons, and MLflow's pages."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from p2pkit.cli.options import (
    CONFIG_HELP,
    AsJson,
    On,
    Overrides,
    PluginFiles,
    Quiet,
    RegistryFile,
    Trust,
    overrides,
    placed,
    registry,
)
from p2pkit.cli.output import echo_way
from p2pkit.errors import P2pkitError


def sweep(
    config: Annotated[str | None, typer.Argument(help=f"{CONFIG_HELP} Its key `sweep` may name points.")] = None,
    axes: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE,VALUE...", help="What differs.")] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Runs of each point, with seeds 0, 1, ...; by default one.")
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", min=1, metavar="N", help="Draw N points instead of running every one.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="grid, random, or a sampler of Optuna's: tpe, gp, cmaes, nsga2.")
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How many points the search chooses.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="METRIC", help="What says which point is best; two of them: A,B.")
    ] = None,
    prune: Annotated[
        str | None, typer.Option("--prune", help="End runs early that are worse: median, hyperband or wilcoxon.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep's folder.")] = None,
    join: Annotated[
        str | None, typer.Option("--join", metavar="SWEEP", help="Help with a sweep that exists: its name or folder.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="SWEEP", help="Go on with a sweep, and try again what failed.")
    ] = None,
    on: On = None,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Train a run for each point of a sweep, and show what they make side by side."""
    from p2pkit import sweep as sweeps
    from p2pkit.cli.tables import print_sweep

    if sum(given is not None for given in (config, join, resume)) != 1:
        raise typer.BadParameter("give a recipe or a file, or else --join SWEEP or --resume SWEEP")
    if random is not None and (search or trials):
        raise typer.BadParameter("--random N is short for --search random --trials N; give one of the two")
    own = {"seeds": seeds, "search": "random" if random else search, "trials": random or trials}
    own |= {"by": by, "prune": prune}
    given = {f"sweep.{key}": value for key, value in own.items() if value is not None} | placed(on)
    options = {"registry": registry(registry_file, plugin, trust), "progress": not quiet, **given, **overrides(set_)}
    if config is not None:
        swept = sweeps.sweep(config, axes or (), name=name, **options)
    else:
        swept = sweeps.join_sweep(str(join or resume), again=resume is not None, **options)
    print_sweep(swept)
    if away := sum(child.state == "finished" for child in swept.children) - len(swept.finished):
        typer.echo(f"runs that can't be reached from here, and are on no sheet and no plot: {away}")
    if swept.busy:
        typer.echo("others are still at work on it; the last of them completes the table and the pictures")
    if swept.signal is not None:
        typer.echo(f"stopped; go on with: p2pkit sweep --resume {swept.folder}")
        sys.exit(128 + swept.signal)


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Runs: a folder, a name, MLflow's id; a sweep for all of its."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", metavar="NAME", help="Compare all runs of an experiment.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one page with all of it.")] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Write the contact sheet as PNG.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", metavar="FOLDER", help="Write the plots as PNG.")] = None,
    by_protocol: Annotated[
        bool, typer.Option("--by-protocol", help="Give scores that were measured differently a column each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show runs side by side: only what differs, their scores, and on a page what they make of the same sources."""
    from p2pkit import compare as comparing
    from p2pkit.cli.tables import print_comparison
    from p2pkit.mlflow_ui.page import way_to

    if bool(runs) == (experiment is not None):
        raise typer.BadParameter("name runs, or else give --experiment NAME")
    folders, elsewhere = (comparing.find_runs(runs), 0) if runs else comparing.runs_of_experiment(str(experiment))
    if elsewhere:
        typer.echo(f"left out: {elsewhere} runs whose folders are not on this machine", err=True)
    note = functools.partial(typer.echo, err=True)
    compared = comparing.compare(folders, by_protocol=by_protocol, note=lambda problem: note(f"left out: {problem}"))
    if html is not None:
        comparing.write_page(compared, html)
    if sheet is not None:
        comparing.draw_contact_sheet(compared, sheet)
    if plots is not None:
        comparing.save_plots(compared, plots)
    if as_json:
        typer.echo(json.dumps(compared.as_dict(), indent=2, default=str))
        return
    print_comparison(compared)
    for written in filter(None, (html, sheet, plots)):
        typer.echo(f"wrote     {written}")
    echo_way("mlflow    ", way_to(runs or [str(folder) for folder in folders], folders))


def ui(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Runs to open at, named as for compare.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on the loopback address.")] = 5000,
    experiment: Annotated[str | None, typer.Option("--experiment", help="Experiment to open at.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open MLflow's pages on the runs of this folder; they are seen on this machine only."""
    from p2pkit.mlflow_ui.server import serve
    from p2pkit.plugins.events import replay

    with suppress(P2pkitError):  # a store that is away now has what it lacks sent later
        replay(registry(None, None).plugins, Path("runs"))
    note = functools.partial(typer.echo, err=True)
    serve(runs or (), port=port, experiment=experiment, open_browser=browser, report=typer.echo, note=note)


COMMANDS = (sweep, compare, ui)
