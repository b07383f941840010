"""Export a trained generator, with a check and a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from p2pkit.atomic_files import atomic_folder
from p2pkit.engine.storage.checkpoint import halve
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import GENERATOR, copy_for_inference
from p2pkit.errors import ModelError, Problem
from p2pkit.exporting.card import write_card
from p2pkit.exporting.sources import sources
from p2pkit.inference.forms import Form, Layout
from p2pkit.inference.translate import Translator
from p2pkit.programs.exported import Arithmetic, write_description
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.parity import TOLERANCE, Parity, measure
from p2pkit.programs.runtimes import Given, Run
from p2pkit.programs.writing import PLAIN, write_program
from p2pkit.registry import Registry, names_in_force
from p2pkit.translation import load
from p2pkit.untyped import Json, Plain

FORMATS = ("onnx", "openvino", "pt2", "safetensors")


@dataclass(frozen=True)
class ExportedFolder:
    """What came of an export.

    Args:
        folder: Where it is.
        file: The program, or the weights.
        size: Height and width of all images; None where they are free.
        parity: How the program compares with the network; None where the weights themselves were copied.
        beside: By name, in words, what it takes beside a source.
        use: The line that tries it.
    """

    folder: Path
    file: Path
    size: tuple[int, int] | None
    parity: Parity | None
    beside: Mapping[str, str] = field(default_factory=dict)
    use: str = ""


def export(
    model: str | Path,
    output: str | Path,
    *,
    format: Literal["onnx", "openvino", "pt2", "safetensors"] = "onnx",
    stored: bool = False,
    layout: Layout = "NCHW",
    precision: Arithmetic = "fp32",
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
    translator = load(checkpoint, device="cpu", registry=registry, **PLAIN, **overrides)
    beside = translator.companions.described()
    inputs = "".join(f" --input {name}=VALUE" for name in sorted(translator.companions.needed))
    use = f"p2pkit translate {{}} IN... -o OUT{inputs}"
    with atomic_folder(output) as partial:
        if format == "safetensors":
            copy_for_inference(checkpoint, partial)
            half = None
            if precision == "fp16":
                run, form = _halved(translator, partial, registry, overrides), Form()
                half = _checked(checkpoint, translator, run, form, registry, precision, tolerance)
            how = f"$ {use}".format(output.name)
            parity = str(half or "")
            write_card(checkpoint, translator.images, partial, license=license, how=how, parity=parity, beside=beside)
            return ExportedFolder(output, output / GENERATOR, None, half, beside, use.format(output))
        graph = PortableGenerator(translator, stored=stored, layout=layout, half=precision == "fp16").eval()
        about, run = write_program(graph, format, partial, precision=precision)
        measured = _checked(checkpoint, translator, run, graph.form, registry, precision, tolerance)
        write_description(partial, about)
        how = f"$ {use}".format(output.name)
        if format == "pt2":
            use = f'torch.export.load("{about.file}").module()({", ".join(graph.inputs)})'
            how = f">>> {use}"
        parity = str(measured)
        write_card(checkpoint, translator.images, partial, license=license, how=how, parity=parity, beside=beside)
    return ExportedFolder(output, output / about.file, about.size, measured, beside, use.format(output))


def _halved(translator: Translator, folder: Path, registry: Registry, overrides: Plain) -> Run:
    """Keep a folder's weights in 16 bits, and return what runs the network by them."""
    halve(folder)
    short = load(folder, device="cpu", registry=registry, **PLAIN, **overrides)

    def run(given: Given) -> NDArray[np.generic]:
        tensors = {name: torch.from_numpy(values) for name, values in given.items()}
        return short.network_values(*translator.companions.together(tensors)).numpy()

    return run


def _checked(
    checkpoint: Path,
    translator: Translator,
    run: Run,
    form: Form,
    registry: Registry,
    precision: Arithmetic,
    tolerance: float | None,
) -> Parity:
    """Return how much a program differs from the network.

    Raises:
        ModelError: By more than is taken.
    """
    parity = measure(translator, run, form, *sources(checkpoint, translator, registry))
    most = TOLERANCE[precision] if tolerance is None else tolerance
    if not parity.most <= most:
        cause = f"the program differs from the network by {parity}; {most:g} is taken"
        raise ModelError(Problem("--tolerance", cause, "export in fp32, or take more by --tolerance"))
    return parity
