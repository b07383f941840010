"""Commands that train and use models."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pkit.cli.options import (
    AsJson,
    Device,
    On,
    Overrides,
    PluginFiles,
    Quiet,
    RegistryFile,
    Strict,
    Trust,
    overrides,
    placed,
    registry,
)
from p2pkit.engine.distributed.world import world
from p2pkit.errors import P2pkitError
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from p2pkit.api import TrainedRun
    from p2pkit.inference.translate import Translator

Model = Annotated[
    str, typer.Argument(help="A run's folder or name, MLflow's id, or a checkpoint; RUN@best is its best.")
]
_CONFIG = "A recipe's name, or a YAML file."


def train(
    config: Annotated[str | None, typer.Argument(help=_CONFIG)] = None,
    set_: Overrides = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run instead.")] = None,
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
    names = registry(registry_file, plugin, trust)
    act = functools.partial(api.train, config) if config is not None else functools.partial(api.resume, str(resume))
    _print_run(act(registry=names, progress=not quiet, strict=strict, **overrides(set_)))


def demo(
    set_: Overrides = None, plugin: PluginFiles = None, registry_file: RegistryFile = None, quiet: Quiet = False
) -> None:
    """Train on the pairs that ship with p2pkit: outlines to colour emoji, in a few minutes on two cores."""
    train("demo", set_=set_, plugin=plugin, registry_file=registry_file, quiet=quiet)


def check(
    config: Annotated[str, typer.Argument(help=_CONFIG)],
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


def translate(
    model: Model,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder for the fakes, or its address; for one image the file, or - for stdout."
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IN...]", help="Images, folders of images, or addresses of such; tables of sources; - for stdin."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Translate this part of the run's own data instead.")
    ] = None,
    manifest: Annotated[
        str | None, typer.Option("--manifest", metavar="FILE", help="A table of sources, as one of IN.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of one forward pass.")] = 8,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Resize sources, e.g. 256x256; `trained`: as in training."),
    ] = None,
    given: Annotated[
        Literal["auto", "source", "file"],
        typer.Option("--given", help="What files are: sources, files as the data set's, or tell by their looks."),
    ] = "auto",
    tile: Annotated[
        int | None,
        typer.Option("--tile", min=0, help="Side of tiles that are blended; 0: never; default: if too large."),
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", min=0, help="By how much tiles overlap; by default an eighth of them.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, metavar="K", help="Fakes of each source, for networks with noise.")
    ] = 1,
    vary: Annotated[bool, typer.Option("--vary", help="Draw other noise for each source.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="What noise is drawn by; by default the run's.")] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="What the generator takes beside each source."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Arithmetic: auto, fp32, bf16, fp16; by default the run's.")
    ] = None,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave fakes that are there.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that can't be told to be fakes; never a source.")
    ] = False,
    device: Device = "auto",
    on: On = None,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Translate images by a trained generator; only sources are needed."""
    from p2pkit import translation
    from p2pkit.inference.addresses import is_address
    from p2pkit.portions import split_executor, translate_on, without_precision

    files = [*(inputs or ()), *([manifest] if manifest else ())]
    if bool(files) == (split is not None):
        raise typer.BadParameter("give images, folders or tables, or else --split NAME")
    names = registry(registry_file, plugin, trust)
    here = placed("local") | {"executor.params.processes": 1} if any(map(is_address, (output, *files))) else {}
    part, changes = split_executor({**(placed(on) or here), **overrides(set_)}, names, device)
    changes |= {
        key: value for key, value in {"engine.seed": seed, "engine.precision": precision}.items() if value is not None
    }
    options: dict[str, Json] = {"batch": batch, "skip_existing": skip_existing, "overwrite": overwrite}
    if split is not None and beside:
        raise typer.BadParameter("the pairs of a split hold what stands beside them", param_hint="--input")
    if split is not None and (samples > 1 or vary):
        raise typer.BadParameter("is for files, and not for --split", param_hint="--vary" if vary else "--samples")
    if part is not None and (split is not None or _STREAM in (output, *files)):
        raise typer.BadParameter("executors and addresses are for files, which are written as such", param_hint="--on")
    if split is not None:
        own: dict[str, Json] = {"device": device, "registry": names, "progress": not quiet, "options": options}
        count = len(translation.translate_split(model, split, output, **own, **changes))
    else:
        look = (device, changes) if part is None else ("cpu", without_precision(changes))
        translator = translation.load(model, device=look[0], registry=names, **look[1])
        trained = (translator.images.height, translator.images.width)
        options |= {"size": trained if size == "trained" else _size(size), "given": given}
        options |= {"tile": tile, "overlap": overlap, "samples": samples, "vary": vary, "extras": _beside(beside or ())}
        if _STREAM in (output, *files):
            _translate_stream(translator, files, output, options)
            return
        if part is None:
            count = len(translation.translate(translator, files, output, progress=not quiet, **options))
        else:
            way: dict[str, Json] = {"device": device, "registry": names, "overrides": changes}
            count = len(translate_on(part, translator, model, files, output, progress=not quiet, **way, **options))
    typer.echo(f"wrote {count} images to {output}")


_STREAM = "-"


def _translate_stream(translator: Translator, files: list[str], output: str, options: dict[str, Json]) -> None:
    """Translate one image, of a file or from standard input, to standard output."""
    from p2pkit import translation

    if len(files) > 1 or output != _STREAM or options["samples"] != 1:
        raise typer.BadParameter("standard input and output are for one image; give -o -, and redirect it")
    with sys.stdin.buffer if files[0] == _STREAM else Path(files[0]).open("rb") as source:
        fake = translation.translate_bytes(translator, source.read(), **options)
    sys.stdout.buffer.write(fake)
    sys.stdout.buffer.flush()


def sweep(
    config: Annotated[str | None, typer.Argument(help=f"{_CONFIG} Its key `sweep` may name points.")] = None,
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
        typer.echo(f"{away} runs lie where they can't be reached from here, and are on no sheet and no plot")
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
    _echo_way("mlflow    ", way_to(runs or [str(folder) for folder in folders], folders))


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


COMMANDS = (demo, train, check, evaluate, translate, sweep, compare, ui)


def _echo_way(heading: str, way: str | None) -> None:
    if way is not None:
        typer.echo(f"{heading}{way}")


def _size(written: str | None) -> tuple[int, int] | None:
    if written is None:
        return None
    height, x, width = written.partition("x")
    if not (x and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise typer.BadParameter("not of the form HxW, e.g. 256x256", param_hint="--size")
    return int(height), int(width)


def _beside(written: Sequence[str]) -> dict[str, Json]:
    parts = [each.partition("=") for each in written]
    for name, sign, value in parts:
        if not (name and sign and value):
            raise typer.BadParameter("not of the form NAME=VALUE, e.g. season=winter", param_hint="--input")
    return {name: value for name, _, value in parts}


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
    _echo_way("mlflow      ", way_to([str(run.folder)], [run.folder]))
    typer.echo(f"draw        p2pkit serve {run.folder}")
    if run.signal is not None:
        typer.echo(f"stopped at step {run.step}; go on with: p2pkit train --resume {run.folder}")
