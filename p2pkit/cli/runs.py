"""Commands that train and score models."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from p2pkit.cli.options import (
    CONFIG_HELP,
    Model,
    Overrides,
    PluginFiles,
    Quiet,
    RegistryFile,
    Strict,
    Trust,
    overrides,
    registry,
)
from p2pkit.cli.output import echo_way
from p2pkit.engine.distributed.world import world
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from p2pkit.api import TrainedRun


def train(
    config: Annotated[str | None, typer.Argument(help=CONFIG_HELP)] = None,
    set_: Overrides = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run instead.")] = None,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Go on with the run of the config's tracking.name, if it has begun.")
    ] = False,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Train a generator by a recipe or a config of your own."""
    from p2pkit import api

    if (config is None) == (resume is None):
        raise typer.BadParameter("give a recipe or a file, or else --resume RUN")
    if go_on and resume is not None:
        raise typer.BadParameter("--resume RUN goes on in any case; leave --go-on out")
    names = registry(registry_file, plugin, trust)
    act = functools.partial(api.resume, str(resume))
    if config is not None:
        act = functools.partial(api.train, config, go_on=go_on)
    _print_run(act(registry=names, progress=not quiet, strict=strict, **overrides(set_)))


def demo(
    set_: Overrides = None, plugin: PluginFiles = None, registry_file: RegistryFile = None, quiet: Quiet = False
) -> None:
    """Train on the pairs that ship with p2pkit: outlines to colour emoji, in a few minutes on two cores."""
    train("demo", set_=set_, plugin=plugin, registry_file=registry_file, quiet=quiet)


def check(
    config: Annotated[str, typer.Argument(help=CONFIG_HELP)],
    every_file: Annotated[
        bool, typer.Option("--all", help="Read all files of the data, and not only a sample.")
    ] = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    quiet: Quiet = False,
) -> None:
    """Look for everything that can be wrong with a config, without training."""
    from p2pkit import sweep as sweeps

    options: dict[str, Json] = {"every_file": every_file, "progress": not quiet, **overrides(set_)}
    for line in sweeps.outline(config, registry=registry(registry_file, plugin), **options):
        typer.echo(line)


def evaluate(
    model: Model,
    split: Annotated[
        str | None, typer.Option("--split", help="The part of the data; by default the run's own.")
    ] = None,
    modes: Annotated[
        bool, typer.Option("--modes", help="Score every combination of evaluate.batch_norm and evaluate.dropout.")
    ] = False,
    gap: Annotated[bool, typer.Option("--gap", help="Score the training pairs too, side by side.")] = False,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="METRIC", help="Make the mode that this metric likes best the checkpoint's."),
    ] = None,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Score a trained generator on held-out pairs."""
    from p2pkit import api
    from p2pkit.cli.tables import print_report, print_survey

    if keep is not None and not modes:
        raise typer.BadParameter("--keep chooses among the modes; give --modes too")
    names = registry(registry_file, plugin, trust)
    if modes or gap:
        from p2pkit.evaluate_modes import survey

        act = functools.partial(survey, model, modes=modes, gap=gap, keep=keep, split=split)
        print_survey(act(registry=names, progress=not quiet, **overrides(set_)))
        return
    run = api.evaluate(model, split=split, registry=names, progress=not quiet, **overrides(set_))
    if world().main:
        print_report(run.report)
        typer.echo(f"samples  {run.sheet}")


COMMANDS = (demo, train, check, evaluate)


def _print_run(run: TrainedRun) -> None:
    if world().main:
        _print_outcome(run)
    if run.signal is not None:
        sys.exit(128 + run.signal)


def _print_outcome(run: TrainedRun) -> None:
    from p2pkit.cli.tables import print_report
    from p2pkit.mlflow_ui.page import way_to

    if run.report is not None:
        print_report(run.report)
        typer.echo(f"samples     {run.sheet}")
    typer.echo(f"checkpoint  {run.checkpoint}")
    if run.best is not None:
        typer.echo(f"best        {run.best}")
    echo_way("mlflow      ", way_to([str(run.folder)], [run.folder]))
    typer.echo(f"draw        p2pkit serve {run.folder}")
    if run.signal is not None:
        typer.echo(f"stopped at step {run.step}; go on with: p2pkit train --resume {run.folder}")
