"""Programs written, with what they say of themselves; and those that are kept beside a run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from p2pkit.atomic_files import atomic_folder, cache_folder, remove_folder
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, GENERATOR, PROGRAMS, STATISTICS
from p2pkit.engine.storage.state import described, record
from p2pkit.errors import ModelError, Problem
from p2pkit.inference.translate import Translator
from p2pkit.programs import formats
from p2pkit.programs.exported import Arithmetic, Description, read_description, translator_of, write_description
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.parity import TOLERANCE, measure, noise
from p2pkit.programs.program import export_program
from p2pkit.programs.runtimes import Format, Given, Run, Runtime, runner
from p2pkit.untyped import Json

PLAIN: dict[str, Json] = {
    "engine.precision": "fp32", "engine.memory_format": "contiguous", "engine.convolutions": "direct"
}  # fmt: skip
"""Keys of a config by which a network computes as its program will."""


def write_program(
    graph: PortableGenerator,
    kind: Format,
    folder: Path,
    *,
    precision: Arithmetic = "fp32",
    examples: Sequence[Given] = (),
    runtime: Runtime | None = None,
) -> tuple[Description, Run]:
    """Write a program, and return what it is and what runs it; what it is has still to be written.

    Args:
        graph: The network.
        kind: The format.
        folder: Where to.
        precision: The arithmetic.
        examples: What it is given, by which 8 bits are chosen.
        runtime: What is to run it here; by default the one that it is made for.

    Raises:
        ModelError: The network can't be such a program.
    """
    images = graph.images
    program, free = export_program(graph, height=images.height, width=images.width)
    file = formats.write(program, kind, folder, graph, examples)
    about = Description(
        program=kind,
        file=file.name,
        images=images,
        multiple=graph.multiple,
        size=None if free else (images.height, images.width),
        stored=graph.form.stored,
        layout=graph.form.layout,
        precision=precision,
        extras=[name for name in graph.inputs if name != "source"],
    )
    if kind == "pt2":
        loaded = torch.export.load(file).module()  # what has just been written here

        def run(given: Given) -> NDArray[np.generic]:
            with torch.no_grad():
                made: NDArray[np.generic] = loaded(*map(torch.from_numpy, given.values())).numpy()
            return made

        return about, run
    return about, runner(kind, file, runtime)


def in_runtime(
    checkpoint: Path, translator: Translator, runtime: Runtime, note: Callable[[str], None] | None = None
) -> Translator:
    """Return a generator that a runtime computes; its program is written once and kept beside the run.

    Args:
        checkpoint: The checkpoint.
        translator: Its generator, on a CPU and in fp32.
        runtime: What is to run it.
        note: Hears when a program is written.

    Raises:
        ModelError: The generator can't be a program, or makes other images as one.
    """
    home = (run_of(checkpoint) or cache_folder()) / PROGRAMS
    folder = home / f"{checkpoint.name}-{_key(checkpoint, translator)}"
    with suppress(ModelError):  # that it is not there, or damaged
        return replace(translator_of(folder, read_description(folder), runtime), seed=translator.seed)
    if note is not None:
        note(f"{runtime} runs a program, which is written once: {folder}")
    with atomic_folder(folder) as partial:
        graph = PortableGenerator(translator).eval()
        about, run = write_program(graph, "onnx", partial, runtime=runtime)
        parity = measure(translator, run, graph.form, noise(translator, 1), "source of noise")
        if not parity.most <= TOLERANCE["fp32"]:
            cause = f"its program in {runtime} differs from the network by {parity}"
            raise ModelError(Problem("--runtime", cause, "say --runtime torch"))
        write_description(partial, about)
    _tidy(home, checkpoint)
    return replace(translator_of(folder, read_description(folder), runtime), seed=translator.seed)


def _key(checkpoint: Path, translator: Translator) -> str:
    """Return what stands for all that a program is made of: weights, images, mode and code."""
    weights = [record(file).sha256 for file in (checkpoint / GENERATOR, checkpoint / STATISTICS) if file.is_file()]
    mode = [translator.batch_norm, translator.dropout]
    held = [
        importlib.metadata.version("p2pkit"),
        weights,
        described(translator.images),
        mode,
        _code(translator.generator),
    ]
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:12]


def _code(network: nn.Module) -> list[str]:
    """Return what stands for the code of a network's layers: the files of all that are not torch's, which are known."""
    kinds = {type(module) for module in network.modules() if not type(module).__module__.startswith("torch.")}
    files = set()
    for kind in kinds:
        with suppress(TypeError, OSError):  # a class of a notebook has none
            files.add(record(Path(inspect.getfile(kind))).sha256)
    return [torch.__version__, repr(network), *sorted(files)]


def _tidy(home: Path, checkpoint: Path) -> None:
    """Remove the programs of a run's checkpoints that are gone."""
    run = run_of(checkpoint)
    for folder in home.iterdir() if run is not None else ():
        own = folder.name.rpartition("-")[0]
        if run is not None and own and not any((run / room / own).is_dir() for room in (CHECKPOINTS, BEST)):
            remove_folder(folder)
