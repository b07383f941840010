"""A network as a program of torch's own, in which batch, height and width are free where the network allows it."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.extras.values import some
from p2pkit.programs.graph import PortableGenerator
from p2pkit.types import ImageSpec
from p2pkit.untyped import Plain, Untyped

_TORCH: Untyped = importlib.import_module("torch.fx.experimental._config")
_Size = tuple[int, int, int]
_CLOSE = 2 / 255


def export_program(graph: PortableGenerator, *, height: int, width: int) -> tuple[ExportedProgram, bool]:
    """Export a network, and make sure that the program makes the same of images of other sizes.

    Args:
        graph: The network.
        height: Rows of the images that it was trained on, for a network that takes no others.
        width: Their columns.

    Returns:
        The program, and whether height and width are free; the batch is in any case.

    Raises:
        ModelError: torch can't follow the network.
    """
    auto = torch.export.Dim.AUTO
    rows, columns = (1, 2) if graph.form.layout == "NHWC" else (2, 3)
    step = max(graph.multiple, 4)
    free: tuple[dict[int, object], list[_Size]] = (
        {0: auto, rows: auto, columns: auto},
        [(2, 2 * step, 3 * step), (1, height, width), (3, step + 3, 2 * step - 1)],
    )
    fixed: tuple[dict[int, object], list[_Size]] = ({0: auto}, [(2, height, width), (1, height, width)])
    why = ""
    for dynamic, sizes in (free, fixed):
        examples = [example(graph, *size) for size in sizes]
        try:
            # Sizes of one are sizes like others; else torch notes that those of the example are larger.
            with torch.no_grad(), warnings.catch_warnings(), _TORCH.patch(backed_size_oblivious=True):
                warnings.simplefilter("ignore")  # of torch's own making
                shapes = _shapes(graph, dynamic)
                program = torch.export.export(graph, tuple(examples[0].values()), dynamic_shapes=shapes)
                _compare(program.module(), graph, examples[1:])
        except Exception as error:  # torch raises what it likes at networks that it can't follow
            why = why or first_line(error)
            continue
        return program, dynamic is free[0]
    cause = f"torch can't turn this network into a program: {why}"
    raise ModelError(Problem("", cause, "export its weights by --format safetensors"))


def save_program(program: ExportedProgram, file: Path) -> None:
    """Write a program to a file, by Python: where the disk is full, torch's own writer ends the process.

    Args:
        program: The program.
        file: The file.

    Raises:
        OSError: It can't be written.
    """
    content = io.BytesIO()
    torch.export.save(program, content)
    file.write_bytes(content.getbuffer())


def _shapes(graph: PortableGenerator, dynamic: Mapping[int, object]) -> Plain:
    """Say of each input which sides are free, as torch wants it; of a vector it is the batch alone."""
    source, *extras = (dynamic if isinstance(spec, ImageSpec) else {0: dynamic[0]} for spec in graph.inputs.values())
    return {"source": source, "extras": tuple(extras)} if extras else {"source": source}


def _compare(run: Callable[..., Tensor], graph: PortableGenerator, examples: Sequence[Mapping[str, Tensor]]) -> None:
    target, stored = graph.images.target, graph.form.stored
    allowed = _CLOSE * ((target.high - target.low) / 2 if stored else 1)
    for given in examples:
        made, wanted = (each(*given.values()).double() for each in (run, graph))
        if (made - wanted).abs().max() > max(allowed, 1.0 * stored):
            raise RuntimeError("its program makes other images than the network")


def example(graph: PortableGenerator, batch: int, height: int, width: int) -> dict[str, Tensor]:
    """Return what a graph takes, by name, without touching the caller's dice."""
    images = replace(graph.images, height=height, width=width)
    dice = torch.Generator().manual_seed(0)
    return {name: graph.form.of(some(spec, images, batch, dice), spec) for name, spec in graph.inputs.items()}
