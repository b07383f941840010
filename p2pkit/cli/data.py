"""Commands on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from p2pkit.cli.groups import Command, Group
from p2pkit.cli.options import Overrides, PluginFiles, Quiet, RegistryFile, overrides, registry

app = typer.Typer(cls=Group, help="Prepare data.", no_args_is_help=True)


@app.command(cls=Command)
def shard(
    dataset: Annotated[str, typer.Argument(help="A recipe, a YAML file, or a data set's name.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is not there yet.")],
    split: Annotated[list[str] | None, typer.Option("--split", help="Only this split; repeatable.")] = None,
    encoding: Annotated[
        Literal["png", "raw"], typer.Option("--encoding", help="png is small; raw is larger and needs no decoding.")
    ] = "png",
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Pairs of a shard.")] = 256,
    set_: Overrides = None,
    plugin: PluginFiles = None,
    registry_file: RegistryFile = None,
    quiet: Quiet = False,
) -> None:
    """Write a data set as shards, without loss, and print the config that reads them."""
    from p2pkit import sharding

    index = sharding.shard(
        dataset,
        out,
        splits=split,
        encoding=encoding,
        per_shard=pairs,
        registry=registry(registry_file, plugin),
        progress=not quiet,
        **overrides(set_),
    )
    for name, shards in index.splits.items():
        size = sum(each.bytes or 0 for each in shards) / 1e6
        typer.echo(f"{name:<8}{sum(each.pairs for each in shards)} pairs in {len(shards)} shards, {size:,.1f} MB")
    typer.echo(f"dataset: {{use: webdataset, params: {{root: {out}}}}}")


@app.command(cls=Command)
def fetch(
    name: Annotated[
        Literal["facades", "cityscapes", "maps", "edges2shoes", "edges2handbags", "night2day"],
        typer.Argument(help="One of the paper's data sets."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for it; must not exist; by default data/NAME.")
    ] = None,
    address: Annotated[str, typer.Option("--from", metavar="URL", help="Another place that has the archive.")] = "",
    sha256: Annotated[str, typer.Option("--sha256", help="What the archive's checksum has to be.")] = "",
    quiet: Quiet = False,
) -> None:
    """Fetch one of the paper's data sets from its authors, and unpack it; a broken line is gone on with."""
    from p2pkit import published
    from p2pkit.progress import reporter

    folder = output or Path("data", name)
    shown = reporter(not quiet)
    try:
        found = published.fetch(
            name,
            folder,
            address=address,
            sha256=sha256,
            report=lambda done, total: shown.working("fetching", done, total),
        )
    finally:
        shown.close()
    typer.echo(f"wrote    {folder}")
    typer.echo(f"sha256   {found}")
    direction = published.PUBLISHED[name].direction
    typer.echo(f"dataset: {{use: side_by_side, params: {{root: {folder}, direction: {direction}}}}}")
