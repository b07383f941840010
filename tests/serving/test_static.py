"""The page as a folder: what lies in it, what its programs make, and what can't be drawn."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from torch import nn

import p2pkit
from p2pkit import ImageSpec, ModelError, Problem, VectorSpec
from p2pkit.serving import static
from p2pkit.serving.static import RUNTIME, runtime_files, write_page


@pytest.fixture(scope="module")
def page(run, quiet, tmp_path_factory) -> static.StaticPage:
    return write_page([f"small={run.folder}"], tmp_path_factory.mktemp("pages") / "page", registry=quiet)


def test_its_program_makes_what_the_model_makes(page, models):
    pytest.importorskip("onnxruntime")
    drawing = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    made = p2pkit.load(page.folder / "models" / "small").translate(drawing).astype(int)
    wanted = models["first"].translator.translate(drawing).astype(int)
    assert np.abs(made - wanted).max() <= 8
    assert json.loads((page.programs["small"].folder / "p2pkit.json").read_text())["precision"] == "fp16"


def test_all_that_is_named_lies_in_it(page):
    (about,) = json.loads((page.folder / "page" / "models.json").read_text())
    assert (about["name"], about["height"], about["source"]["type"]) == ("small", 16, "uint8")
    assert "translate" not in about
    for file in (*about["samples"], about["card"], about["program"]):
        assert (page.folder / file).stat().st_size > 0
    index = (page.folder / "index.html").read_text()
    named = re.findall(r'(?:href|src)="([\w./]+)"', index)
    assert {"page/app.js", "page/page.css"} <= set(named)
    assert all((page.folder / name).is_file() for name in named if name != "docs")
    for script in (page.folder / "page").glob("[!o]*.js"):
        for name in re.findall(r'(?:from|URL\() ?"(?:\./)?([\w.]+)"', script.read_text(encoding="utf-8")):
            assert (script.parent / name).is_file(), (script.name, name)


def test_the_runtime_brings_its_licence():
    files = runtime_files()
    assert set(files) == {"ort.js", "ort.wasm", "ort.LICENSE.txt", "ort.ThirdPartyNotices.txt"}
    assert files["ort.wasm"].startswith(b"\0asm")
    assert b"ONNX Runtime Web v1.30.0" in files["ort.js"]
    assert b"MIT License" in files["ort.LICENSE.txt"]
    assert resources.files(static.__package__).joinpath(RUNTIME).stat().st_size < 2**22


def test_where_16_bits_change_too_much_it_is_of_32(page, models, tmp_path, monkeypatch):
    asked = []

    def export(checkpoint, folder, *, stored, precision="fp32"):
        asked.append(precision)
        if precision == "fp16":
            raise ModelError(Problem("--tolerance", "too much"))
        return page.programs["small"]

    monkeypatch.setattr(static, "export", export)
    assert static._program(models["first"], tmp_path / "models" / "first", {}) is page.programs["small"]
    assert asked == ["fp16", "fp32"]


BESIDE = {"age": VectorSpec(1), "season": VectorSpec(2, "class"), "z": VectorSpec(3, "noise")}


class Beside(nn.Module):
    """Takes all kinds of vectors beside its images."""

    def forward(self, images, *, age, season, z):
        return images


class Deep(nn.Module):
    """Takes an image beside its images."""

    def forward(self, images, *, depth):
        return images


def given(model, generator, **extras):
    images = replace(model.translator.images, extras=extras)
    return replace(model, translator=replace(model.translator, generator=generator, images=images))


def test_vectors_beside_the_drawing_have_controls_and_images_have_none(models):
    assert static._problems(given(models["first"], Beside(), **BESIDE)) == []
    (problem,) = static._problems(given(models["first"], Deep(), depth=ImageSpec(1)))
    assert "takes an image beside the drawing, depth," in problem.cause


def test_what_can_not_be_drawn_is_refused_and_nothing_is_written(models, run, quiet, tmp_path, monkeypatch):
    first = models["first"]
    deep = replace(first.translator, images=replace(first.translator.images, source=ImageSpec(5)))
    wrong = {"a": replace(first, name="a", translator=deep), "b": replace(first, name="b", checkpoint=None)}
    monkeypatch.setattr(static, "load_models", lambda *args, **options: wrong)
    with pytest.raises(ModelError, match=r"(?s)5 channels.*is a program already"):
        write_page(["a", "b"], tmp_path / "page")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelError, match="is there already"):
        write_page([str(run.folder)], tmp_path, registry=quiet)
