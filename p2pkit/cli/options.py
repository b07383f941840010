"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pkit.engine.distributed.world import world
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from p2pkit.registry import Registry

Overrides = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key of the config; repeatable.")
]
PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Load a one-file plugin; repeatable.")
]
RegistryFile = Annotated[
    Path | None, typer.Option("--registry", metavar="PATH", help="Use this registry.yaml and look for no other.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run one-file plugins that the model brings along and that are none of yours.")
]
Model = Annotated[
    str, typer.Argument(help="A run's folder or name, MLflow's id, or a checkpoint; RUN@best is its best.")
]
CONFIG_HELP = "A recipe's name, or a YAML file."
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Strict = Annotated[bool, typer.Option("--strict", help="End the run when a plugin fails in the middle of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option("--device", help="Where to compute: auto, cpu, cuda, mps.")]
By = Annotated[
    Literal["torch", "onnxruntime", "openvino"] | None,
    typer.Option("--runtime", help="What computes; by default torch, or what an exported program was made for."),
]

On = Annotated[
    str | None,
    typer.Option("--on", metavar="EXECUTOR", help="Where work runs, e.g. local; short for -s executor.use=EXECUTOR."),
]


def placed(executor: str | None) -> dict[str, Json]:
    """Return the key that --on is short for."""
    return {} if executor is None else {"executor.use": executor}


def overrides(written: list[str] | None) -> dict[str, Json]:
    """Read the values of --set."""
    from p2pkit.config import parse_overrides

    return parse_overrides(written or ())


def registry(path: Path | None, files: list[Path] | None, trust: bool = False) -> Registry:
    """Load the names in force, and say on standard error which plugins could not be loaded."""
    from p2pkit.registry import load_registry, names_in_force

    loaded = load_registry(path, plugin_files=files or ())
    for complaint in loaded.plugins.complaints() if world().main else ():
        typer.echo(f"warning: {complaint}", err=True)
    return names_in_force(loaded, trust=trust)
