"""Programs as files."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.export import ExportedProgram

from p2pkit.engine.storage.state import described
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.programs.graph import PortableGenerator
from p2pkit.programs.int8 import quantise
from p2pkit.programs.program import save_program
from p2pkit.programs.runtimes import Format, Given
from p2pkit.untyped import Untyped

FILES: dict[Format, str] = {"onnx": "model.onnx", "openvino": "model.xml", "pt2": "model.pt2"}
_IN_ONE = 2**31
"""Bytes that an ONNX file may have; larger weights lie beside it."""


def write(
    program: ExportedProgram, kind: Format, folder: Path, graph: PortableGenerator, examples: Sequence[Given] = ()
) -> Path:
    """Write a program as a file.

    Args:
        program: The program.
        kind: What is to run it.
        folder: Where to.
        graph: What was exported, whose inputs' names the file has; what it was trained on is noted in an ONNX file.
        examples: What it is given, for a program of 8 bits; none for one of more.

    Raises:
        ModelError: A package is missing, or it does not take the program.
    """
    file = folder / FILES[kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporters' own making
            if kind == "pt2":
                save_program(program, file)
            elif kind == "onnx":
                _onnx(program, file, graph, examples)
            else:
                _openvino(program, file, graph, examples)
    except ImportError as error:
        raise ModelError(
            Problem("--format", f"{error.name} is not installed", "pip install 'p2pkit[export]'")
        ) from None
    except OSError:  # of the disk
        raise
    except Exception as error:  # exporters raise what they like
        cause = f"{kind} can't hold this network: {first_line(error)}"
        raise ModelError(Problem("--format", cause, "try another format, or --format safetensors")) from error
    return file


def _onnx(program: ExportedProgram, file: Path, graph: PortableGenerator, examples: Sequence[Given]) -> None:
    import onnxscript  # noqa: F401  without it torch's message is of another error

    made: Untyped = torch.onnx.export(
        program, (), dynamo=True, input_names=list(graph.inputs), output_names=["fake"], verbose=False
    )
    made.model.metadata_props["p2pkit.images"] = json.dumps(described(graph.images))
    size = sum(weight.nbytes for weight in program.state_dict.values())
    made.save(str(file), external_data=size > _IN_ONE)
    if examples:
        quantise(file, examples)


def _openvino(program: ExportedProgram, file: Path, graph: PortableGenerator, examples: Sequence[Given]) -> None:
    import openvino

    with tempfile.TemporaryDirectory() as temporary:
        between = Path(temporary, "model.onnx")
        _onnx(program, between, graph, examples)
        half = any(weight.dtype == torch.float16 for weight in program.state_dict.values())
        openvino.save_model(openvino.convert_model(str(between)), str(file), compress_to_fp16=half)
