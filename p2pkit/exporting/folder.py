"""Export a trained generator, with a check and a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from p2pkit.api import prepared
from p2pkit.atomic_files import atomic_folder
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.storage.checkpoint import halve
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import GENERATOR, copy_for_inference
from p2pkit.errors import ModelError, Problem
from p2pkit.exporting.card import write_card
from p2pkit.exporting.hub import CONFIG, WEIGHTS, lay_out
from p2pkit.exporting.scores import Scores, compare
from p2pkit.exporting.sources import sources, training
from p2pkit.inference.forms import Form, Layout
from p2pkit.inference.translate import Translator
from p2pkit.programs.exported import Arithmetic, Program, write_description
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.parity import TOLERANCE, Parity, given, measure, noise
from p2pkit.programs.runtimes import Format, Given, Run
from p2pkit.programs.writing import PLAIN, write_program
from p2pkit.registry import Registry, names_in_force
from p2pkit.translation import load
from p2pkit.untyped import Json, Plain

FORMATS = ("onnx", "openvino", "pt2", "safetensors", "hub")


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
        scores: What the program loses by the run's own metrics; None where it was not scored.
    """

    folder: Path
    file: Path
    size: tuple[int, int] | None
    parity: Parity | None
    beside: Mapping[str, str] = field(default_factory=dict)
    use: str = ""
    scores: Scores | None = None


def export(
    model: str | Path,
    output: str | Path,
    *,
    format: Literal["onnx", "openvino", "pt2", "safetensors", "hub"] = "onnx",
    stored: bool = False,
    layout: Layout = "NCHW",
    precision: Arithmetic = "fp32",
    tolerance: float | None = None,
    score: bool = False,
    force: bool = False,
    license: str = "",
    called: str = "",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    **overrides: Json,
) -> ExportedFolder:
    """Write a generator as a folder that other programs load, and `load` too.

    Args:
        model: As for `load`.
        output: The folder; must not exist.
        format: `onnx`, `openvino`, torch's own `pt2`, or `safetensors` for the weights and the config; `hub` is the
            same with `model.safetensors` and `config.json`, which `PyTorchModelHubMixin` reads.
        stored: Whether the program takes and gives images as stored, and not in [-1, 1].
        layout: Whether channels come before the rows or last.
        precision: The program's arithmetic; `int8`, for `onnx` and `openvino`, by the model's training images.
        tolerance: The largest difference that is taken, in steps of 255 to the target's range; None for 1, or 8 in
            fp16; in 8 bits the scores decide.
        score: Whether the program is scored beside the network, as one of 8 bits is anyway; its data must be in reach.
        force: Whether a program is kept whose scores are more than 5 % worse.
        license: The model's licence, for its card; by default what the model's own card says.
        called: What the card calls the model; by default the folder's name.
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
    if precision == "int8" and format not in ("onnx", "openvino"):
        raise ModelError(Problem("--precision", f"there is no {format} of 8 bits", "say --format onnx or openvino"))
    if score and format in ("safetensors", "hub"):
        raise ModelError(Problem("--score", f"{format} is no program", "p2pkit evaluate scores the network"))
    checkpoint = find_checkpoint(model)
    translator = load(checkpoint, device="cpu", registry=registry, **PLAIN, **overrides)
    work = _Work(checkpoint, translator, registry, overrides, precision, tolerance, score, force)
    beside = translator.companions.described()
    inputs = "".join(f" --input {name}=VALUE" for name in sorted(translator.companions.needed))
    with atomic_folder(output) as partial:
        use, how = (
            f"p2pkit translate {output} IN... -o OUT{inputs}",
            f"$ p2pkit translate {called or output.name} IN... -o OUT",
        )
        if format == "safetensors" or format == "hub":
            made = work.weights(partial)
            if format == "hub":
                lay_out(partial, translator.images)
        else:
            graph = PortableGenerator(translator, stored=stored, layout=layout, half=precision == "fp16").eval()
            made = work.program(graph, format, partial)
        if format == "pt2":
            use = f'torch.export.load("{made.file.name}").module()({", ".join(graph.inputs)})'
            how = f">>> {use}"
        write_card(
            checkpoint, translator.images, partial,
            license=license, how=how, parity=made.parity, scores=made.scores, beside=beside,
        )  # fmt: skip
    return replace(made, folder=output, file=output / made.file.name, beside=beside, use=use)


_BITS: dict[Arithmetic, str] = {"fp32": "32 bits", "fp16": "16 bits", "int8": "8 bits"}


@dataclass(frozen=True)
class _Work:
    """An export under way.

    Args:
        checkpoint: The model.
        translator: Its generator, as a program computes.
        registry: The names in force.
        overrides: Keys to change.
        precision: The arithmetic that is wanted.
        tolerance: The largest difference that is taken; None for that of the arithmetic.
        score: Whether a program of any arithmetic is scored.
        force: Whether scores may be worse by any amount.
    """

    checkpoint: Path
    translator: Translator
    registry: Registry
    overrides: Plain
    precision: Arithmetic
    tolerance: float | None
    score: bool
    force: bool

    def weights(self, folder: Path) -> ExportedFolder:
        """Copy the weights, in 16 bits if that is wanted."""
        copy_for_inference(self.checkpoint, folder)
        for name in (WEIGHTS, CONFIG):  # of a model from the hub
            (folder / name).unlink(missing_ok=True)
        parity = None
        if self.precision == "fp16":
            halve(folder)
            parity = self._checked(self._network(folder), Form())
        return ExportedFolder(folder, folder / GENERATOR, None, parity)

    def program(self, graph: PortableGenerator, kind: Format, folder: Path) -> ExportedFolder:
        """Write a program, and say what it is."""
        small = self.precision == "int8"
        checked = self._checked_run() if small or self.score else None
        own = training(checked, self.translator) if checked and small else []
        examples = [given(self.translator, graph.form, each) for each in own]
        about, run = write_program(graph, kind, folder, precision=self.precision, examples=examples)
        parity = self._checked(run, graph.form)
        scores = None
        if checked is not None:
            size = sum(file.stat().st_size for file in folder.iterdir())
            example = own[0] if own else noise(self.translator, 1)[0]
            scores = compare(checked, self.translator, Program(about, run), size, example, _BITS[self.precision])
            if not self.force:
                scores.require()
        write_description(folder, about)
        return ExportedFolder(folder, folder / about.file, about.size, parity, scores=scores)

    def _checked_run(self) -> ValidatedRun:
        own = {"evaluate.baselines": False, "engine.device": "cpu", **PLAIN}
        return prepared(self.checkpoint, None, self.registry, {**self.overrides, **own})[1]

    def _network(self, folder: Path) -> Run:
        """Return what runs the network by the weights of a folder."""
        short = load(folder, device="cpu", registry=self.registry, **PLAIN, **self.overrides)

        def run(given: Given) -> NDArray[np.generic]:
            tensors = {name: torch.from_numpy(values) for name, values in given.items()}
            return short.network_values(*self.translator.companions.together(tensors)).numpy()

        return run

    def _checked(self, run: Run, form: Form) -> Parity:
        """Return how much a program differs from the network.

        Raises:
            ModelError: By more than is taken.
        """
        tried = sources(self.checkpoint, self.translator, self.registry, self.overrides)
        parity = measure(self.translator, run, form, *tried)
        most = TOLERANCE[self.precision] if self.tolerance is None else self.tolerance
        if not parity.most <= most:
            cause = f"the program differs from the network by {parity}; {most:g} is taken"
            raise ModelError(Problem("--tolerance", cause, "export in fp32, or take more by --tolerance"))
        return parity
