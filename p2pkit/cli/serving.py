"""The command by which models answer over HTTP."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from p2pkit.cli.options import By, Device, Overrides, PluginFiles, RegistryFile, Trust, overrides, registry

Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Models as for translate; NAME=MODEL gives one a name.")
]


def serve(
    models: Models,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 8000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of one forward pass.")] = 8,
    max_wait: Annotated[
        float, typer.Option("--max-wait", min=0, metavar="MS", help="How long an image waits for others of its size.")
    ] = 3.0,
    max_pixels: Annotated[int, typer.Option("--max-pixels", min=1, help="Pixels that an image may have.")] = 2**22,
    max_bytes: Annotated[int, typer.Option("--max-bytes", min=1, help="Bytes that a request may have.")] = 2**25,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Images of one client in a second; 0 for any number.")
    ] = 100.0,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Arithmetic: auto, fp32, bf16, fp16; by default the run's.")
    ] = None,
    device: Device = "auto",
    runtime: By = None,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
) -> None:
    """Answer requests for translations, and show a page to draw on; on this machine only, unless --host says so."""
    from p2pkit import serving

    listener = serving.Listener(host, port)
    changes = overrides(set_) | ({"engine.precision": precision} if precision is not None else {})
    names = registry(registry_file, plugin, trust)
    note = functools.partial(typer.echo, err=True)
    loaded = serving.load_models(models, device=device, runtime=runtime, registry=names, note=note, **changes)
    settings = serving.Settings(batch, max_wait, max_pixels, max_bytes, rate)
    serving.serve(loaded, listener, settings, report=typer.echo, note=note)


def page(
    models: Models,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page; must not exist.")],
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
) -> None:
    """Write a page to draw on as a folder for any static server: the models run in the browser."""
    from p2pkit import serving

    made = serving.write_page(models, output, registry=registry(registry_file, plugin, trust), **overrides(set_))
    for name, program in made.programs.items():
        typer.echo(f"{name:<14} differs by {program.parity}")
    typer.echo(f"wrote          {made.folder / 'index.html'}")
    typer.echo(f"show it        python -m http.server --bind 127.0.0.1 --directory {made.folder}")


COMMANDS = (serve, page)
