"""A network as a program of torch's own, in which batch, height and width are free where the network allows it."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.exporting.graph import PortableGenerator
from p2pkit.images.convert import stored_type
from p2pkit.types import ImageSpec
from p2pkit.untyped import Untyped

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
    rows, columns = (1, 2) if graph.layout == "NHWC" else (2, 3)
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
                program = torch.export.export(graph, (examples[0],), dynamic_shapes=(dynamic,))
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


def _compare(run: Callable[[Tensor], Tensor], graph: PortableGenerator, examples: Sequence[Tensor]) -> None:
    target = graph.images.target
    allowed = _CLOSE * ((target.high - target.low) / 2 if graph.stored else 1)
    for images in examples:
        if (run(images).double() - graph(images).double()).abs().max() > max(allowed, 1.0 * graph.stored):
            raise RuntimeError("its program makes other images than the network")


def example(graph: PortableGenerator, batch: int, height: int, width: int) -> Tensor:
    """Return sources as a graph wants them, without touching the caller's dice."""
    spec = graph.images.source
    dice = torch.Generator().manual_seed(0)
    images = torch.rand(batch, _channels(spec, graph.stored), height, width, generator=dice)
    if not graph.stored:
        images = images * 2 - 1
    elif spec.kind == "labels":
        images = (images * spec.channels).floor().to(stored_type(spec))
    else:
        images = (spec.low + images * (spec.high - spec.low)).to(stored_type(spec))
    return images.permute(0, 2, 3, 1).contiguous() if graph.layout == "NHWC" else images


def _channels(spec: ImageSpec, stored: bool) -> int:
    return 1 if stored and spec.kind == "labels" else spec.channels
