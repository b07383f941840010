"""The commands by which a model leaves the house."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from p2pkit.cli.options import Overrides, PluginFiles, RegistryFile, Trust, overrides, registry
from p2pkit.untyped import Json


def export(
    model: Annotated[str, typer.Argument(help="A run's folder or name, MLflow's name of a model, or a checkpoint.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the export; must not exist.")],
    format_: Annotated[
        Literal["onnx", "openvino", "pt2", "safetensors", "hub"],
        typer.Option("--format", help="What is to load it; safetensors and hub are the weights and the config."),
    ] = "onnx",
    stored: Annotated[
        bool, typer.Option("--stored", help="Take and give images as stored, for instance 0 to 255, not -1 to 1.")
    ] = False,
    layout: Annotated[
        Literal["NCHW", "NHWC"], typer.Option("--layout", help="Whether channels come before the rows or last.")
    ] = "NCHW",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option("--precision", help="The program's arithmetic; int8 by the model's training images."),
    ] = "fp32",
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0, help="Largest difference, of 255, to the network; 1, or 8 in fp16."),
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Score the program beside the network, as in 8 bits is done anyway.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Keep a program whose scores are worse.")] = False,
    license_: Annotated[str, typer.Option("--license", help="The model's licence, for its card.")] = "",
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
) -> None:
    """Write a generator as a program for other software, checked against the network, with a model card."""
    from p2pkit import exporting
    from p2pkit.cli.tables import print_scores

    made = exporting.export(
        model,
        output,
        format=format_,
        stored=stored,
        layout=layout,
        precision=precision,
        tolerance=tolerance,
        score=score,
        force=force,
        license=license_,
        registry=registry(registry_file, plugin, trust),
        **overrides(set_),
    )
    typer.echo(f"wrote {made.file}")
    if made.parity is not None:
        size = "any height, width and batch" if made.size is None else f"{made.size[0]} x {made.size[1]}, any batch"
        typer.echo(f"takes          {size}")
        typer.echo(f"differs by     {made.parity}")
    if made.scores is not None:
        print_scores(made.scores)
    typer.echo(f"card           {made.folder / 'README.md'}")
    for name, text in made.beside.items():
        typer.echo(f"beside it      {name}: {text}")
    typer.echo(f"try it         {made.use}")


def push(
    model: Annotated[str, typer.Argument(help="A model as for export, or a folder that export has written.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Its name on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see a repository that is made.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Add a commit to a repository that holds files already.")
    ] = False,
    license_: Annotated[str, typer.Option("--license", help="The model's licence, for its card.")] = "",
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
) -> None:
    """Put a model on the Hugging Face Hub, for its owner alone unless told otherwise."""
    from p2pkit import exporting

    names = registry(registry_file, plugin, trust)
    options: dict[str, Json] = {"public": public, "overwrite": overwrite, "license": license_, "registry": names}
    typer.echo(f"put at         {exporting.push(model, repository, **options, **overrides(set_))}")
    typer.echo(f"try it         p2pkit translate hf://{repository} IN... -o OUT")


COMMANDS = (export, push)
