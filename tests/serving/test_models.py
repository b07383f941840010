"""Which models a server has, by which names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import p2pkit
from p2pkit.serving.models import load_models
from p2pkit.types import ImageSpec, Reading


def test_names_are_given_or_made_of_the_runs(run, quiet):
    loaded = load_models([str(run.folder), f"mine={run.folder}", str(run.folder)], device="cpu", registry=quiet)
    assert list(loaded) == [run.folder.name, "mine", f"{run.folder.name}-2"]
    assert [served.name for served in loaded.values()] == list(loaded)


def test_an_exported_folder_is_served_with_its_card(run, quiet, tmp_path):
    made = p2pkit.export(run.folder, tmp_path / "exported", format="safetensors", registry=quiet)
    (served,) = load_models([str(made.folder)], device="cpu", registry=quiet).values()
    assert served.name == "exported"
    assert served.card == (made.folder / "README.md").read_text()
    assert served.scores == {run.report.head(name): value for name, value in run.report.metrics.items()}


@pytest.mark.slow
def test_a_runtime_computes_what_torch_would(models, run, quiet):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    told = []
    options = {"runtime": "onnxruntime", "registry": quiet, "note": told.append}
    (served,) = load_models([str(run.folder)], device="cpu", **options).values()
    assert len(told) == 1
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    wanted, made = (each.translator.translate(image).astype(int) for each in (models["first"], served))
    assert np.abs(wanted - made).max() <= 1


def test_what_is_not_there_is_told():
    with pytest.raises(p2pkit.ModelError, match="no run or checkpoint"):
        load_models(["mine=nowhere"])


def test_colours_of_painted_sources_are_the_exact_ones(models):
    sample = np.zeros((4, 4, 3), np.uint8)
    sample[:2] = (250, 10, 3)
    sample[0, 0] = (249, 10, 3)
    first = models["first"]
    painted = replace(first.translator.images, reading=Reading(painted=((0, 0, 0), (255, 0, 0))))
    served = replace(first, translator=replace(first.translator, images=painted), samples=(sample,))
    assert served.about()["source"]["colours"] == [(0, 0, 0), (250, 10, 3)]
    labels = replace(painted, source=ImageSpec(2, "labels", palette=((1, 2, 3), (4, 5, 6))))
    served = replace(first, translator=replace(first.translator, images=labels))
    assert served.about()["source"]["colours"] == [(1, 2, 3), (4, 5, 6)]
