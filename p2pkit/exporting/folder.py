"""Export a trained generator, with a check and a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2pkit.atomic_files import atomic_folder
from p2pkit.engine.storage.checkpoint import halve
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import GENERATOR, copy_for_inference
from p2pkit.errors import ModelError, Problem
from p2pkit.exporting import formats
from p2pkit.exporting.card import write_card
from p2pkit.exporting.graph import Layout, PortableGenerator
from p2pkit.exporting.parity import TOLERANCE, Parity, held_out, measure
from p2pkit.exporting.program import example, export_program
from p2pkit.inference.exported import Description, Format, Run, runner, write_description
from p2pkit.inference.translate import Translator
from p2pkit.registry import Registry, names_in_force
from p2pkit.translation import load
from p2pkit.untyped import Json

Precision = Literal["fp32", "fp16"]
FORMATS = ("onnx", "openvino", "pt2", "safetensors")
_PAIRS = 4
_PLAIN: dict[str, Json] = {
    "engine.precision": "fp32", "engine.memory_format": "contiguous", "engine.convolutions": "direct"
}  # fmt: skip


@dataclass(frozen=True)
class ExportedFolder:
    """What came of an export.

    Args:
        folder: Where it is.
        file: The program, or the weights.
        size: Height and width of all images; None where they are free.
        parity: How the program compares with the network; None where the weights themselves were copied.
    """

    folder: Path
    file: Path
    size: tuple[int, int] | None
    parity: Parity | None


def export(
    model: str | Path,
    output: str | Path,
    *,
    format: Literal["onnx", "openvino", "pt2", "safetensors"] = "onnx",
    stored: bool = False,
    layout: Layout = "NCHW",
    precision: Precision = "fp32",
    tolerance: float | None = None,
    license: str = "",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    **overrides: Json,
) -> ExportedFolder:
    """Write a generator as a folder that other programs load, and `load` too.

    Args:
        model: As for `load`.
        output: The folder; must not exist.
        format: `onnx`, `openvino`, torch's own `pt2`, or `safetensors` for the weights and the config.
        stored: Whether the program takes and gives images as stored, and not in [-1, 1].
        layout: Whether channels come before the rows or last.
        precision: The program's arithmetic.
        tolerance: The largest difference that is taken, in steps of 255 to the target's range; None for 1, or 8 in
            fp16.
        license: The model's licence, for its card.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        **overrides: Keys to change, for instance `**{"evaluate.dropout": "off"}`.

    Returns:
        The folder, and how much the program differs from the network.

    Raises:
        ModelError: The network can't be exported like this, or the program differs by more than is taken.
        PluginError: It brings code along that is not trusted.
    """
    registry, output = names_in_force(registry, plugins, trust=trust), Path(output)
    if output.exists():
        raise ModelError(Problem(str(output), "is there already", "name a folder that is not"))
    checkpoint = find_checkpoint(model)
    translator = load(checkpoint, device="cpu", registry=registry, **_PLAIN, **overrides)
    use = f"$ p2pkit translate {output.name} IN... -o OUT"
    with atomic_folder(output) as partial:
        if format == "safetensors":
            copy_for_inference(checkpoint, partial)
            half = _halved(checkpoint, translator, partial, registry, tolerance) if precision == "fp16" else None
            write_card(checkpoint, translator.images, partial, license=license, how=use, parity=str(half or ""))
            return ExportedFolder(output, output / GENERATOR, None, half)
        graph = PortableGenerator(translator, stored=stored, layout=layout, half=precision == "fp16").eval()
        about, run = _write(graph, format, partial, precision)
        parity = _checked(checkpoint, translator, graph, run, registry, precision, tolerance)
        write_description(partial, about)
        how = use if format != "pt2" else f'>>> torch.export.load("{about.file}").module()(source)'
        write_card(checkpoint, translator.images, partial, license=license, how=how, parity=str(parity))
    return ExportedFolder(output, output / about.file, about.size, parity)


def _write(
    graph: PortableGenerator, kind: Format, folder: Path, precision: Literal["fp32", "fp16"]
) -> tuple[Description, Run]:
    """Write the program, and return what it is and what runs it."""
    images = graph.images
    program, free = export_program(graph, height=images.height, width=images.width)
    file = formats.write(program, kind, folder, images)
    about = Description(
        program=kind,
        file=file.name,
        images=images,
        multiple=graph.multiple,
        size=None if free else (images.height, images.width),
        stored=graph.stored,
        layout=graph.layout,
        precision=precision,
    )
    if kind == "pt2":
        loaded = torch.export.load(file).module()  # what has just been written here

        def run(given: NDArray[np.generic]) -> NDArray[np.generic]:
            with torch.no_grad():
                made: NDArray[np.generic] = loaded(torch.from_numpy(given)).numpy()
            return made

        return about, run
    return about, runner(kind, file)


def _halved(
    checkpoint: Path, translator: Translator, folder: Path, registry: Registry, tolerance: float | None
) -> Parity:
    """Keep a folder's weights in 16 bits, and return how much the network differs by them."""
    graph = PortableGenerator(translator)
    halve(folder)
    short = load(folder, device="cpu", registry=registry, **_PLAIN)

    def run(given: NDArray[np.generic]) -> NDArray[np.generic]:
        return short.network_values(torch.from_numpy(given)).numpy()

    return _checked(checkpoint, translator, graph, run, registry, "fp16", tolerance)


def _checked(
    checkpoint: Path,
    translator: Translator,
    graph: PortableGenerator,
    run: Run,
    registry: Registry,
    precision: Precision,
    tolerance: float | None,
) -> Parity:
    """Return how much a program differs from the network.

    Raises:
        ModelError: By more than is taken.
    """
    sources, of = _sources(checkpoint, translator, graph, registry)
    parity = measure(translator, graph, run, sources, of)
    most = TOLERANCE[precision] if tolerance is None else tolerance
    if not parity.most <= most:
        cause = f"the program differs from the network by {parity}; {most:g} is taken"
        raise ModelError(Problem("--tolerance", cause, "export in fp32, or take more by --tolerance"))
    return parity


def _sources(
    checkpoint: Path, translator: Translator, graph: PortableGenerator, registry: Registry
) -> tuple[list[Tensor], str]:
    """Return sources to compare by: held-out ones of the model's own data, or noise where these are out of reach."""
    if own := held_out(checkpoint, _PAIRS, registry):
        return own, "sources of its data"
    images = translator.images
    plain = PortableGenerator(translator) if graph.stored or graph.layout != "NCHW" else graph
    return list(
        example(plain, _PAIRS, images.height, images.width)
    ), "sources of noise, since its data are out of reach"
