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
from p2pkit import ImageSpec, PairSpec, VectorSpec
from p2pkit.builtin.mlflow_tracker import p2pkit_model
from p2pkit.builtin.mlflow_tracker.portable import write_program
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray
    from pandas import DataFrame

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
        facts = _facts(contents)
        (data / p2pkit_model.FACTS).write_text(json.dumps(facts), encoding="utf-8")
        if contents.whole:
            p2pkit.copy_for_inference(contents.checkpoint, data / p2pkit_model.CHECKPOINT)
            why = _write_program(contents, data)
        else:
            where = {"checkpoint": str(contents.checkpoint.absolute())}
            (data / p2pkit_model.WHERE).write_text(json.dumps(where), encoding="utf-8")
        _save(data, folder, contents, why, facts, **identity)
    return why


def _facts(contents: Contents) -> Plain:
    """Say what sources are, and what the generator takes beside them, if anything."""
    facts: Plain = {"source": _stored(contents.images.source)}
    if not contents.images.extras:
        return facts
    try:
        translator = p2pkit.load(contents.checkpoint, device="cpu")
    except p2pkit.P2pkitError:  # then it takes what p2pkit, where it can be loaded, takes by itself
        return facts
    taken, texts = translator.companions, translator.companions.described()
    beside = {
        name: {**_kind(spec), "needed": name in taken.needed, "text": texts[name]} for name, spec in taken.specs.items()
    }
    return {**facts, "beside": beside, "seed": translator.seed} if beside else facts


def _kind(spec: ImageSpec | VectorSpec) -> Plain:
    if isinstance(spec, VectorSpec):
        return {"kind": spec.kind, "size": spec.size, "names": list(spec.names)}
    return {"kind": spec.kind, "channels": 1 if spec.kind == "labels" else spec.channels, "stored": _stored(spec)}


def _stored(spec: ImageSpec) -> str:
    return str(p2pkit.stored_type(spec)).removeprefix("torch.")


def _write_program(contents: Contents, data: Path) -> str:
    if not contents.portable:
        return "tracking.portable is false"
    try:
        write_program(data / p2pkit_model.CHECKPOINT, data)
    except p2pkit.P2pkitError as error:
        return p2pkit.first_line(error)
    return ""


def _save(data: Path, folder: Path, contents: Contents, why: str, facts: Plain, **identity: str) -> None:
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
            signature=signature(facts),
            input_example=example(contents.images, facts),
            pip_requirements=needed,
            model_config={"trust": False},  # what is not named here, MLflow lets nobody set
            mlflow_model=description,
        )


def signature(facts: Plain) -> ModelSignature:
    """Return the form of what a model takes: an array of stored images, or files; MLflow has no name for both.

    What may be given beside a source is columns of a table; what is drawn has a seed.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    anything = Schema([TensorSpec(np.dtype("O"), (-1,))])
    beside = facts.get("beside", {})
    drawn = any(about["kind"] == "noise" for about in beside.values())
    seeds = ParamSchema([ParamSpec("seed", DataType.long, facts["seed"])]) if drawn else None
    columns = [ColSpec(AnyType(), name, about["needed"]) for name, about in beside.items()]
    given = Schema([ColSpec(AnyType(), "source"), *columns]) if _is_table(facts) else anything
    return ModelSignature(given, anything, seeds)


def _is_table(facts: Plain) -> bool:
    return any(about["kind"] != "noise" for about in facts.get("beside", {}).values())


def example(images: PairSpec, facts: Plain) -> NDArray[np.generic] | DataFrame:
    """Return what a model can be given: a file in base64, or an array where no file holds its sources.

    Of a generator that takes more beside its source it is a table of these.
    """
    sources = _image(images, images.source)
    if not _is_table(facts):
        return sources
    import pandas

    row: dict[str, object] = {"source": sources[0]}
    for name, about in facts["beside"].items():
        spec = images.extras[name]
        if isinstance(spec, ImageSpec):
            row[name] = _image(images, spec)[0]
        elif about["needed"]:
            row[name] = (*spec.names, 0)[0] if spec.kind == "class" else [0.0] * spec.size
    return pandas.DataFrame([{name: _listed(value) for name, value in row.items()}])


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _image(images: PairSpec, source: ImageSpec) -> NDArray[np.generic]:
    """Return a source, or an image beside it, as a model can be given it."""
    shape = images.size
    if _fits_png(source) and images.dims == 2:
        ramp = np.linspace(0, 255 if source.kind == "intensity" else source.channels - 1, images.width)
        picture = np.broadcast_to(ramp.astype(np.uint8), shape)
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG")
        return np.array([base64.b64encode(file.getvalue()).decode()], dtype=object)
    channels = 1 if source.kind == "labels" else source.channels
    return np.full((1, *shape, channels), source.low, dtype=_stored(source))


def _fits_png(source: ImageSpec) -> bool:
    return _stored(source) == "uint8" and (source.kind == "labels" or source.channels in (1, 3, 4))
