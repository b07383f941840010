"""Checkpoints of other toolboxes become models of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from p2pkit.bridge.files import read_tensors, sha256
from p2pkit.bridge.layout import Params, image_specs, swap_colours
from p2pkit.bridge.recognise import Recognised, recognise, split
from p2pkit.engine.storage.checkpoint import Contents, write_checkpoint
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.errors import ConfigError, ModelError, Problem
from p2pkit.planning import plan_run
from p2pkit.registry import Registry, names_in_force
from p2pkit.types import PairSpec
from p2pkit.untyped import Json, Plain

Channels = Literal["auto", "rgb", "bgr"]


@dataclass(frozen=True)
class ImportedNetwork:
    """A network that was imported.

    Args:
        file: The name of the file that it comes from.
        sha256: The file's checksum.
        layout: Whose network it is.
        kind: `generator` or `discriminator`.
        use: The component of ours that computes the same.
        params: Its parameters.
        channels: The order of colours that the file's network works on; ours always works on red, green, blue.
    """

    file: str
    sha256: str
    layout: str
    kind: str
    use: str
    params: Plain
    channels: str


@dataclass(frozen=True)
class ImportedModel:
    """What came of an import.

    Args:
        folder: The model, which is taken wherever a checkpoint is.
        generator: The generator.
        discriminator: The discriminator, where one of the files had one.
        images: What the generator takes and makes; a size that it can have.
        batch_norm: The mode that it is used in, as in the toolbox that it comes from.
        dropout: The same, for dropout.
    """

    folder: Path
    generator: ImportedNetwork
    discriminator: ImportedNetwork | None
    images: PairSpec
    batch_norm: str
    dropout: str


def import_checkpoint(
    files: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    dropout: bool | None = None,
    channels: Channels = "auto",
    domain: str | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    **overrides: Json,
) -> ImportedModel:
    """Turn a checkpoint of another toolbox into a model of ours that computes the same.

    Args:
        files: The generator's file, and the discriminator's where training is to go on; or one file of both.
        output: Folder for the model; must not exist.
        dropout: Whether the generator has dropout where its keys do not tell; by default it has.
        channels: The order of colours that the network works on; by default the one that its toolbox uses.
        domain: Which generator of a file of several, by the domain that it leads to.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        **overrides: Keys of the model's config to change, for instance `**{"dataset.params.root": "my/pairs"}`.

    Returns:
        What was found.

    Raises:
        ModelError: A file can't be read or is of no known layout, or the files are no model together.
        ConfigError: The config can't be changed so.
    """
    registry, output = names_in_force(registry, plugins), Path(output)
    if output.exists():
        raise ModelError(Problem(str(output), "is there already", "name a folder that is not"))
    paths = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    found, judge = _chosen(_networks(paths, domain, registry))
    images = _images(found)
    generator = _described(found, _with_dropout(found, dropout), channels)
    discriminator = _described(judge, _with_condition(judge, images), channels) if judge else None
    config = _config(generator, discriminator, found, images, overrides, registry)
    training = {f"discriminator.{key}": value for key, value in _weights(judge, discriminator, images).items()}
    noted = {"scaler": {}, "imported": [asdict(network) for network in (generator, discriminator) if network]}
    weights = _weights(found, generator, images)
    write_checkpoint(output, Contents(weights, training, Progress(), images, config, noted))
    modes = config["evaluate"]
    return ImportedModel(output, generator, discriminator, images, modes["batch_norm"], modes["dropout"])


def _networks(paths: Sequence[Path], domain: str | None, registry: Registry) -> list[Recognised]:
    networks: list[Recognised] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            networks += [recognise(part, path, registry) for part in split(read_tensors(path), path, domain)]
        except ModelError as error:
            problems += error.problems
    if problems:
        raise ModelError(problems)
    return networks


def _chosen(networks: Sequence[Recognised]) -> tuple[Recognised, Recognised | None]:
    """Return the generator and, where there is one, the discriminator."""
    of_kind: dict[str, list[Recognised]] = {"generator": [], "discriminator": []}
    for network in networks:
        of_kind[network.layout.kind].append(network)
    generators, discriminators = of_kind.values()
    for kind, several in of_kind.items():
        if len(several) > 1:
            named = ", ".join(str(network.path) for network in several)
            raise ModelError(Problem("", f"a model has one {kind}, and these are {len(several)}: {named}"))
    if not generators:
        judge = discriminators[0]
        cause = f"holds a discriminator ({judge.layout.name}), and a model needs a generator"
        raise ModelError(Problem(str(judge.path), cause, "name the generator's file too, e.g. latest_net_G.pth"))
    return generators[0], discriminators[0] if discriminators else None


def _images(generator: Recognised) -> PairSpec:
    """Say what the generator was made for: the smallest size that a U-Net can have, else the reference's."""
    inferred = generator.inferred
    return image_specs(inferred.inputs, inferred.outputs, 2 ** inferred.params.get("depth", 8))


def _with_dropout(generator: Recognised, dropout: bool | None) -> Params:
    """Add the dropout, as the keys or the user say."""
    params, rate = generator.inferred.params, generator.layout.dropout_rate
    known = params.get("dropout")
    if known is None:
        return {**params, "dropout": 0.0 if dropout is False else rate}
    if dropout is not None and dropout != bool(known):
        cause = f"its keys are those of a network with{'' if known else 'out'} dropout"
        raise ModelError(Problem(str(generator.path), cause, "leave out --dropout and --no-dropout"))
    return params


def _with_condition(judge: Recognised, images: PairSpec) -> Params:
    """Find out from its channels whether a discriminator sees the source too."""
    params, seen = judge.inferred.params, judge.inferred.inputs
    source, target = images.source.channels, images.target.channels
    if seen == source + target:
        return params
    if seen == target and judge.layout.use == "p2pkit:patch":
        return {**params, "conditional": False}
    cause = f"judges {seen} channels, and the generator makes {target} of {source}"
    raise ModelError(Problem(str(judge.path), cause, "name the discriminator that was trained with the generator"))


def _described(network: Recognised, params: Params, channels: Channels) -> ImportedNetwork:
    layout = network.layout
    order = layout.channels if channels == "auto" else channels
    return ImportedNetwork(network.path.name, sha256(network.path), layout.name, layout.kind, layout.use, params, order)


def _config(
    generator: ImportedNetwork,
    discriminator: ImportedNetwork | None,
    found: Recognised,
    images: PairSpec,
    overrides: Plain,
    registry: Registry,
) -> dict[str, Json]:
    """Write the config of the model; only the folder of its pairs may be missing."""
    batch_norm = found.layout.batch_norm if generator.params.get("norm") == "batch" else "running"
    dropout = found.layout.dropout if generator.params["dropout"] else "off"
    size = {"size": images.height}
    sides = {"source_channels": images.source.channels, "target_channels": images.target.channels}
    networks = [network for network in (generator, discriminator) if network is not None]
    origins = [
        f"{network.kind} from {network.file} ({network.layout}, SHA-256 {network.sha256})" for network in networks
    ]
    raw = {
        "origin": "; ".join(origins),
        "dataset": {"use": "p2pkit:side_by_side", "params": {**size, **sides}},
        **{network.kind: {"use": network.use, "params": dict(network.params)} for network in networks},
        # as the original, to the last digit
        "engine": {"convolutions": "direct", "precision": "fp32", "memory_format": "contiguous"},
        "evaluate": {"batch_norm": batch_norm, "dropout": dropout},
    }
    plan = plan_run(raw, overrides, registry)
    problems = [problem for problem in plan.problems if problem.path != "dataset.params.root"]
    if problems:
        raise ConfigError(problems)
    return plan.resolved()


def _weights(network: Recognised | None, part: ImportedNetwork | None, images: PairSpec) -> dict[str, Tensor]:
    """Give the tensors our names, and let them work on red, green, blue."""
    if network is None or part is None:
        return {}
    names = network.names
    state = names.network.state_dict()
    weights = {}
    for theirs, ours in names.ours.items():
        tensor = network.tensors.get(theirs, torch.zeros(state[ours].shape))  # files of before 2018 count no batches
        weights[ours] = tensor.to(state[ours].dtype)
    if part.channels == "bgr":
        source, target = images.source.channels, images.target.channels
        return swap_colours(names, weights, _seen(part, source, target), image=part.kind == "generator" and target == 3)
    return weights


def _seen(part: ImportedNetwork, source: int, target: int) -> list[int]:
    """List the channels of the images that a network sees, in their order."""
    if part.kind == "generator":
        return [source]
    if part.use == "p2pkit:patch_blog":
        return [target, source]
    return [source, target] if part.params.get("conditional", True) else [target]
