"""Commands that measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from p2pkit.cli.groups import Command, DefaultGroup
from p2pkit.cli.options import AsJson, Device, Overrides, PluginFiles, RegistryFile, overrides, registry
from p2pkit.untyped import Plain

app = typer.Typer(
    cls=DefaultGroup,
    help="Measure how fast this machine trains (also without `train`), saves, reads, translates and serves.",
)


@app.command("train", cls=Command)
def train_(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file.")] = "facades",
    batch: Annotated[str, typer.Option("--batch", metavar="N,N,...", help="Batch sizes.")] = "1,4,16,64",
    precision: Annotated[str, typer.Option("--precision", metavar="P,P,...", help="auto, fp32, bf16, fp16.")] = "auto",
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="WHAT", help="eager, the textbook step, or KEY=VALUE; may be repeated."),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Seconds for each batch and precision.")] = 30.0,
    data: Annotated[Path | None, typer.Option("--data", help="Side-by-side files; measures the loader too.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes of the loader compared with.")] = 2,
    device: Device = "auto",
    as_json: AsJson = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure training speed against the textbook step, in one process and in turn."""
    from p2pkit.bench import measure
    from p2pkit.cli.tables import print_bench

    others = against or ["eager"]
    if any(other != "eager" and not other.partition("=")[1] for other in others):
        raise typer.BadParameter("write eager, or a setting like engine.compile=on", param_hint="--against")
    measured = measure.measure(
        recipe,
        batches=_numbers(batch),
        precisions=precision.split(","),
        against=others,
        seconds=seconds,
        data=data,
        workers=workers,
        device=device,
        registry=registry(registry_file, plugin),
        note=_note,
        **overrides(set_),
    )
    if as_json:
        typer.echo(json.dumps(measured, indent=2))
    else:
        print_bench(measured)


@app.command(cls=Command)
def translate(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file.")] = "facades",
    batch: Annotated[str, typer.Option("--batch", metavar="N,N,...", help="Images of a forward pass.")] = "1,8",
    size: Annotated[int, typer.Option("--size", min=16, help="Height and width of the pictures.")] = 256,
    images: Annotated[int, typer.Option("--images", min=1, help="How many there are.")] = 32,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each variant translates them.")] = 3,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="R,R", help="onnxruntime, openvino: rows of theirs beside torch's.")
    ] = "",
    device: Device = "auto",
    as_json: AsJson = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure the translation of a folder against one image after another, in one process and in turn."""
    from p2pkit.bench import measure

    measured = measure.measure_translation(
        recipe,
        side=size,
        images=images,
        batches=_numbers(batch),
        rounds=rounds,
        device=device,
        runtimes=[name for name in runtime.split(",") if name],
        registry=registry(registry_file, plugin),
        note=_note,
        **overrides(set_),
    )
    _show(measured, "images", as_json)


@app.command(cls=Command)
def checkpoint(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a YAML file.")] = "facades",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each variant writes it.")] = 3,
    device: Device = "auto",
    as_json: AsJson = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure how long training stands still for a checkpoint, against torch's own ways to write one, in turn."""
    from p2pkit.bench import measure

    names = registry(registry_file, plugin)
    measured = measure.measure_checkpoint(
        recipe, rounds=rounds, device=device, registry=names, note=_note, **overrides(set_)
    )
    _show(measured, "checkpoints", as_json)


@app.command(cls=Command)
def shards(
    dataset: Annotated[str, typer.Argument(help="A recipe, a YAML file, or a data set's name.")] = "shapes",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pairs of a batch.")] = 4,
    encoding: Annotated[Literal["png", "raw"], typer.Option("--encoding", help="How images lie in shards.")] = "raw",
    workers: Annotated[
        list[int] | None, typer.Option("--workers", min=0, help="Processes that read, 0 for this one; repeatable.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Epochs of each variant.")] = 3,
    as_json: AsJson = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure reading from shards against the cache, and the memory that it takes."""
    from p2pkit.bench import measure

    measured = measure.measure_shards(
        dataset,
        batch=batch,
        encodings=[encoding],
        workers=workers or [0],
        rounds=rounds,
        registry=registry(registry_file, plugin),
        note=_note,
        **overrides(set_),
    )
    _show(measured, "pairs", as_json)


@app.command(cls=Command)
def serve(
    model: Annotated[str, typer.Argument(help="A model, as for serve.")],
    clients: Annotated[str, typer.Option("--clients", metavar="N,N,...", help="How many ask at one time.")] = "1,8,32",
    requests: Annotated[int, typer.Option("--requests", min=1, help="How many they ask together.")] = 64,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each variant is measured.")] = 3,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of a forward pass.")] = 8,
    max_wait: Annotated[float, typer.Option("--max-wait", min=0, help="Milliseconds that an image waits.")] = 3.0,
    device: Device = "auto",
    as_json: AsJson = False,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure a server that many ask at once against translating one image after another, in turn."""
    from p2pkit.bench import bench_serve
    from p2pkit.translation import load

    translator = load(model, device=device, registry=registry(registry_file, plugin), **overrides(set_))
    measured = bench_serve(
        translator,
        clients=_numbers(clients, "--clients"),
        requests=requests,
        rounds=rounds,
        batch=batch,
        max_wait=max_wait,
        note=_note,
    )
    _show(measured, "requests", as_json)


def _show(measured: Plain, what: str, as_json: bool) -> None:
    from p2pkit.cli.tables import print_rates

    if as_json:
        typer.echo(json.dumps(measured, indent=2))
    else:
        print_rates(measured, what)


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _numbers(written: str, option: str = "--batch") -> list[int]:
    if not all(part.isdigit() and int(part) for part in written.split(",")):
        raise typer.BadParameter("not of the form N,N,...", param_hint=option)
    return [int(part) for part in written.split(",")]
