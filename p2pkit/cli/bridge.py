"""Commands that exchange checkpoints with other toolboxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pkit.cli.options import Overrides, PluginFiles, RegistryFile, Trust, overrides, registry

if TYPE_CHECKING:
    from p2pkit.bridge import ImportedNetwork

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="The generator's file, and the discriminator's if it is wanted.")
]
Dropout = Annotated[
    bool | None,
    typer.Option("--dropout/--no-dropout", help="Whether a U-Net was trained with dropout, which its keys don't tell."),
]
Channels = Annotated[
    Literal["auto", "rgb", "bgr"],
    typer.Option("--channels", help="Order of colours that the network works on; auto is its toolbox's."),
]
Domain = Annotated[
    str | None, typer.Option("--domain", metavar="NAME", help="Which generator, in a file that holds several.")
]


def import_checkpoint(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model; must not exist.")],
    dropout: Dropout = None,
    channels: Channels = "auto",
    domain: Domain = None,
    set_: Overrides = None,
    registry_file: RegistryFile = None,
) -> None:
    """Turn a checkpoint of junyanz, erik / huggan or mmgeneration into a model that every command takes."""
    from p2pkit import bridge

    names = registry(registry_file, None)
    model = bridge.import_checkpoint(
        files, output, dropout=dropout, channels=channels, domain=domain, registry=names, **overrides(set_)
    )
    for network in (model.generator, model.discriminator):
        if network is not None:
            typer.echo(_line(network))
    source, target = model.images.source.channels, model.images.target.channels
    typer.echo(f"images         {source} -> {target} channels, {model.images.height} x {model.images.width} and others")
    typer.echo(f"used with      batch_norm {model.batch_norm}, dropout {model.dropout}, as its toolbox does")
    typer.echo(f"translate      p2pkit translate {model.folder} IN... -o OUT")
    typer.echo(f"train from it  p2pkit train {model.folder}/run.yaml -s engine.init={model.folder}")


def export_checkpoint(
    model: Annotated[str, typer.Argument(help="A run's folder or name, MLflow's id of it, or a checkpoint.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file, for instance latest_net_G.pth.")],
    format_: Annotated[
        Literal["junyanz"], typer.Option("--format", help="The toolbox that is to load it.")
    ] = "junyanz",
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    trust: Trust = False,
) -> None:
    """Write a generator as a file that another toolbox loads, and say by which command."""
    from p2pkit import bridge

    names = registry(registry_file, plugin, trust)
    exported = bridge.export_checkpoint(model, output, format=format_, registry=names)
    typer.echo(f"wrote {exported.path}; as checkpoints/NAME/latest_net_G.pth it is tested by")
    typer.echo(f"  {exported.command}")
    for note in exported.notes:
        typer.echo(f"note: {note}")


COMMANDS = (import_checkpoint, export_checkpoint)


def _line(network: ImportedNetwork) -> str:
    params = ", ".join(f"{name} {value}" for name, value in network.params.items())
    order = ", from blue-green-red" if network.channels == "bgr" else ""
    return f"{network.kind:<15}{network.layout} = {network.use.partition(':')[2]}: {params}{order}"
