"""A model as a folder in MLflow's form."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import p2pkit
from p2pkit import ImageSpec, PairSpec
from p2pkit.builtin.mlflow_tracker import p2pkit_model
from p2pkit.builtin.mlflow_tracker.portable import write_program

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray

_DATA = "generator"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model's folder holds.

    Args:
        checkpoint: The checkpoint's folder.
        images: What its images are.
        requirements: What pip can install of what it needs.
        local: What it needs besides, which pip can't install.
        whole: Whether the weights are copied, and not only where they lie noted.
        portable: Whether the network becomes a program of its own, if it can.
    """

    checkpoint: Path
    images: PairSpec
    requirements: Sequence[str]
    local: Sequence[str] = ()
    whole: bool = True
    portable: bool = True


def write_model(folder: Path, contents: Contents, **identity: str) -> str:
    """Write a model's folder.

    Args:
        folder: Where to write; must not exist.
        contents: What it holds.
        **identity: What MLflow's description of it says besides.

    Returns:
        Why the model needs p2pkit; empty where it does not.
    """
    why = ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        data = Path(temporary, _DATA)
        data.mkdir()
        _write_facts(data, contents.images)
        if contents.whole:
            p2pkit.copy_for_inference(contents.checkpoint, data / p2pkit_model.CHECKPOINT)
            why = _write_program(contents, data)
        else:
            where = {"checkpoint": str(contents.checkpoint.absolute())}
            (data / p2pkit_model.WHERE).write_text(json.dumps(where), encoding="utf-8")
        _save(data, folder, contents, why, **identity)
    return why


def _write_facts(data: Path, images: PairSpec) -> None:
    stored = str(p2pkit.stored_type(images.source)).removeprefix("torch.")
    (data / p2pkit_model.FACTS).write_text(json.dumps({"source": stored}), encoding="utf-8")


def _write_program(contents: Contents, data: Path) -> str:
    if not contents.portable:
        return "tracking.portable is false"
    try:
        write_program(data / p2pkit_model.CHECKPOINT, data)
    except p2pkit.P2pkitError as error:
        return p2pkit.first_line(error)
    return ""


def _save(data: Path, folder: Path, contents: Contents, why: str, **identity: str) -> None:
    """Let MLflow write the folder, without its advice on type hints."""
    needed = list(contents.requirements)
    program = (data / p2pkit_model.PROGRAM).is_file()
    if not program:  # pip will not find them, and says so, which is better than an error later
        needed += [text.replace(" ", "==") for text in contents.local]
    about = {"not_installable": list(contents.local), "needs_p2pkit": why} if contents.whole else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*(input example|type hint)")
        import mlflow.pyfunc
        import torch
        from mlflow.models import Model as Description

        description = Description(metadata=about, **identity)
        if program:
            place = f"data/{data.name}"
            flavor = {"model_data": place, "pytorch_version": str(torch.__version__), "code": None}
            description.add_flavor("pytorch", **flavor)
        mlflow.pyfunc.save_model(
            folder,
            loader_module=Path(p2pkit_model.__file__).stem,
            data_path=str(data),
            code_paths=[p2pkit_model.__file__],
            signature=signature(contents.images),
            input_example=example(contents.images),
            pip_requirements=needed,
            model_config={"trust": False},  # what is not named here, MLflow lets nobody set
            mlflow_model=description,
        )


def signature(images: PairSpec) -> ModelSignature:
    """Return the form of what a model takes: an array of stored images, or files; MLflow has no name for both."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    anything = Schema([TensorSpec(np.dtype("O"), (-1,))])
    return ModelSignature(anything, anything)


def example(images: PairSpec) -> NDArray[np.generic]:
    """Return what a model can be given: a file in base64, or an array where no file holds its sources."""
    source = images.source
    shape = images.size
    if _fits_png(source) and images.dims == 2:
        ramp = np.linspace(0, 255 if source.kind == "intensity" else source.channels - 1, images.width)
        picture = np.broadcast_to(ramp.astype(np.uint8), shape)
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG")
        return np.array([base64.b64encode(file.getvalue()).decode()], dtype=object)
    channels = 1 if source.kind == "labels" else source.channels
    kind = str(p2pkit.stored_type(source)).removeprefix("torch.")
    return np.full((1, *shape, channels), source.low, dtype=kind)


def _fits_png(source: ImageSpec) -> bool:
    return str(p2pkit.stored_type(source)) == "torch.uint8" and (
        source.kind == "labels" or source.channels in (1, 3, 4)
    )
