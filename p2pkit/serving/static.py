"""A folder to draw on: the page, and models as programs that a browser runs by itself."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from p2pkit.atomic_files import atomic_folder
from p2pkit.errors import ModelError, Problem
from p2pkit.exporting import ExportedFolder, export
from p2pkit.images.files import image_bytes, image_tensor
from p2pkit.serving.models import Served, is_picture, load_models
from p2pkit.serving.pages import page_files
from p2pkit.types import ImageSpec
from p2pkit.untyped import Json, Untyped

RUNTIME = "onnxruntime-web.zip"
"""onnxruntime-web 1.30.0 by LZMA, a sixth of its size, from `npm pack onnxruntime-web@1.30.0`: of its dist
ort.wasm.bundle.min.mjs as ort.js and ort-wasm-simd-threaded.wasm as ort.wasm, and onnxruntime's licence and notices."""


@dataclass(frozen=True)
class StaticPage:
    """A page that was written.

    Args:
        folder: Where it is.
        programs: The program of each model, by name.
    """

    folder: Path
    programs: Mapping[str, ExportedFolder]


def write_page(models: Sequence[str], output: str | Path, **options: Untyped) -> StaticPage:
    """Write a folder that any static server shows as a page to draw on; the page asks no other address for anything.

    Args:
        models: The models as for `load_models`; the first one's size is that of the sheet.
        output: The folder; must not exist.
        **options: Those of `p2pkit.load`.

    Returns:
        The folder and its programs; in 16 bits where these make the same images, else in 32.

    Raises:
        ModelError: There is no such model, it can't be a program, or the folder is there already.
    """
    output = Path(output)
    if output.exists():
        raise ModelError(Problem(str(output), "is there already", "name a folder that is not"))
    served = load_models(models, device="cpu", **options)
    if problems := [problem for model in served.values() for problem in _problems(model)]:
        raise ModelError(problems)
    with atomic_folder(output) as partial:
        programs = {name: _program(model, partial / "models" / name, options) for name, model in served.items()}
        _write_files(partial)
        listed = [_about(model, programs[name], partial) for name, model in served.items()]
        (partial / "page" / "models.json").write_text(json.dumps(listed), encoding="utf-8")
    return StaticPage(output, {name: _moved(program, output / "models" / name) for name, program in programs.items()})


def _problems(model: Served) -> list[Problem]:
    if model.checkpoint is None:
        return [Problem(model.name, "is a program already", "name the run or the checkpoint that it was made of")]
    if not is_picture(model.translator.images.source):
        channels = model.translator.images.source.channels
        return [Problem(model.name, f"its sources have {channels} channels, which can't be drawn", "use p2pkit serve")]
    specs = model.translator.companions.specs
    if images := ", ".join(name for name, spec in specs.items() if isinstance(spec, ImageSpec)):
        cause = f"it takes an image beside the drawing, {images}, which a page without a server has no way to give"
        return [Problem(model.name, cause, "use p2pkit serve")]
    return []


def _program(model: Served, folder: Path, options: Mapping[str, Untyped]) -> ExportedFolder:
    """Export a model as it reads and writes images, in 16 bits if these are enough."""
    folder.parent.mkdir(exist_ok=True)
    assert model.checkpoint is not None
    try:
        return export(model.checkpoint, folder, stored=True, precision="fp16", **options)
    except ModelError as error:
        if error.problems[0].path != "--tolerance":
            raise
    return export(model.checkpoint, folder, stored=True, **options)


def _moved(program: ExportedFolder, folder: Path) -> ExportedFolder:
    return replace(program, folder=folder, file=folder / program.file.name)


def runtime_files() -> dict[str, bytes]:
    """Return the files by which a browser runs programs, with their licences."""
    with resources.files(__package__).joinpath(RUNTIME).open("rb") as packed, zipfile.ZipFile(packed) as runtime:
        return {name: runtime.read(name) for name in runtime.namelist()}


def _write_files(folder: Path) -> None:
    page = {name: content for name, (content, _) in page_files().items() if not name.startswith("docs.")}
    (folder / "index.html").write_bytes(page.pop("index.html"))
    (folder / "page").mkdir()
    for name, content in {**page, **runtime_files()}.items():
        (folder / "page" / name).write_bytes(content)


def _about(model: Served, program: ExportedFolder, folder: Path) -> dict[str, Json]:
    """Return what the page has to know of a model, with addresses within the folder."""
    place = f"models/{model.name}"
    (folder / place / "samples").mkdir()
    for index, sample in enumerate(model.samples):
        (folder / place / "samples" / f"{index}.png").write_bytes(image_bytes(image_tensor(sample), ".png"))
    addresses = {
        "samples": [f"{place}/samples/{index}.png" for index in range(len(model.samples))],
        "card": f"{place}/README.md",
        "program": f"{place}/{program.file.name}",
    }
    return {key: value for key, value in model.about().items() if key != "translate"} | addresses
