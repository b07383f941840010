"""What runs programs: which formats a runtime reads, and how it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.untyped import Untyped
from p2pkit.yaml_files import shortened

Format = Literal["onnx", "openvino", "pt2"]
Runtime = Literal["torch", "onnxruntime", "openvino"]
Given = Mapping[str, NDArray[np.generic]]
"""What a program is given, by the names of its inputs, in their order."""
Run = Callable[[Given], NDArray[np.generic]]
_EXTRA = {"onnxruntime": "export", "openvino": "openvino"}
_OWN: dict[Format, Runtime] = {"onnx": "onnxruntime", "openvino": "openvino"}
_READS: dict[Runtime, tuple[Format, ...]] = {"torch": (), "onnxruntime": ("onnx",), "openvino": ("openvino", "onnx")}


def runner(program: Format, file: Path, runtime: Runtime | None = None) -> Run:
    """Return what runs a program.

    Args:
        program: The program's format.
        file: Where it is.
        runtime: What is to run it; by default the one that it was made for.

    Raises:
        ModelError: The runtime is not installed, or does not take it.
    """
    if program not in _OWN:
        cause = "a .pt2 file may hold code, which is not run here"
        raise ModelError(Problem(str(file), cause, "load it by torch.export.load, or export to onnx or safetensors"))
    chosen = known_runtime(runtime or _OWN[program])
    if program not in _READS[chosen]:
        readers = " or ".join(name for name, formats in _READS.items() if program in formats)
        raise ModelError(Problem("--runtime", f"{chosen} does not read {file}, which is {program}", f"say {readers}"))
    try:
        return _onnx_runtime(file) if chosen == "onnxruntime" else _open_vino(file)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(Problem(str(file), f"can't be run: {first_line(error)}")) from None


def known_runtime(name: str) -> Runtime:
    """Return a runtime that is here.

    Args:
        name: What it is called.

    Raises:
        ModelError: It is none that is known, or it is not installed.
    """
    found = next((runtime for runtime in _READS if runtime == name), None)
    if found is None:
        cause = f"there is no runtime {shortened(name)}"
        raise ModelError(Problem("--runtime", cause, f"say one of {', '.join(_READS)}"))
    try:
        importlib.import_module(found)
    except ImportError:
        remedy = f"pip install 'p2pkit[{_EXTRA.get(found, 'export')}]'"
        raise ModelError(Problem("--runtime", f"{found} is not installed", remedy)) from None
    return found


def _onnx_runtime(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep memory for itself, beside what is kept for all
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave the processor
    try:
        session: Untyped = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds, which derive from Exception alone
        raise RuntimeError(first_line(error)) from error
    return lambda given: np.asarray(session.run(None, dict(given))[0])


def _open_vino(file: Path) -> Run:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled: Untyped = openvino.Core().compile_model(str(file), "CPU", settings)
    return lambda given: np.asarray(compiled(dict(given))[0])
