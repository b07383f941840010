"""The command that translates images."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pkit.cli.options import (
    By,
    Device,
    Model,
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
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from p2pkit.inference.translate import Translator


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
    runtime: By = None,
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
        own: dict[str, Json] = {"device": device, "runtime": runtime, "registry": names, "progress": not quiet}
        count = len(translation.translate_split(model, split, output, options=options, **own, **changes))
    else:
        look = (device, changes) if part is None else ("cpu", without_precision(changes))
        note = functools.partial(typer.echo, err=True)
        translator = translation.load(model, device=look[0], runtime=runtime, registry=names, note=note, **look[1])
        trained = (translator.images.height, translator.images.width)
        options |= {"size": trained if size == "trained" else _size(size), "given": given}
        options |= {"tile": tile, "overlap": overlap, "samples": samples, "vary": vary, "extras": _beside(beside or ())}
        if _STREAM in (output, *files):
            _translate_stream(translator, files, output, options)
            return
        if part is None:
            count = len(translation.translate(translator, files, output, progress=not quiet, **options))
        else:
            way: dict[str, Json] = {"device": device, "runtime": runtime, "registry": names, "overrides": changes}
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


COMMANDS = (translate,)


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
