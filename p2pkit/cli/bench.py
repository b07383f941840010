"""The command that measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from p2pkit.cli.options import AsJson, Device, PluginFiles, RegistryFile, Settings, registry, settings


def bench(
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
    set_: Settings = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
) -> None:
    """Measure training speed against the textbook step, in one process and in turn."""
    from p2pkit import api
    from p2pkit.cli.tables import print_bench

    others = against or ["eager"]
    if any(other != "eager" and not other.partition("=")[1] for other in others):
        raise typer.BadParameter("write eager, or a setting like engine.compile=on", param_hint="--against")
    measured = api.measure(
        recipe,
        batches=_numbers(batch),
        precisions=precision.split(","),
        against=others,
        seconds=seconds,
        data=data,
        workers=workers,
        device=device,
        registry=registry(registry_file, plugin),
        note=lambda text: typer.echo(text, err=True),
        **settings(set_),
    )
    if as_json:
        typer.echo(json.dumps(measured, indent=2))
    else:
        print_bench(measured)


COMMANDS = (bench,)


def _numbers(written: str) -> list[int]:
    if not all(part.isdigit() and int(part) for part in written.split(",")):
        raise typer.BadParameter("not of the form N,N,...", param_hint="--batch")
    return [int(part) for part in written.split(",")]
