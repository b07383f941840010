"""Programs that are kept beside a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit import ModelError
from p2pkit.programs.exported import Description
from p2pkit.programs.writing import in_runtime


@pytest.mark.slow
def test_a_runtime_makes_the_same_images_by_a_program_that_is_written_once(small_run):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    told = []
    image = np.random.default_rng(0).integers(0, 256, (45, 70, 3), dtype=np.uint8)

    def fakes(**options):
        model = p2pkit.load(small_run.checkpoint, note=told.append, **options)
        return [model.translate(image, tile=tile).astype(int) for tile in (None, 16)]

    wanted = fakes()
    for _ in range(2):
        made = fakes(runtime="onnxruntime")
        assert max(np.abs(one - other).max() for one, other in zip(wanted, made, strict=True)) <= 1
        assert len(told) == 1


@pytest.fixture
def written(monkeypatch):
    """The folders that programs were written to, which here are the networks themselves."""
    folders = []

    def write(graph, kind, folder, **how):
        (folder / "model.onnx").write_bytes(b"program")
        folders.append(folder)
        images = graph.images
        about = {"images": images, "multiple": graph.multiple, "size": None, "stored": False, "layout": "NCHW"}
        run = partial(run_graph, graph)
        monkeypatch.setattr("p2pkit.programs.exported.runner", lambda *asked: run)
        return Description(program=kind, file="model.onnx", precision="fp32", **about), run

    monkeypatch.setattr("p2pkit.programs.writing.write_program", write)
    return folders


def run_graph(graph, given):
    with torch.no_grad():
        return graph(*map(torch.from_numpy, given.values())).numpy()


def test_a_program_is_written_again_where_it_is_damaged_or_something_else_is_asked_for(small_run, written, tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / small_run.checkpoint.name
    shutil.copytree(small_run.checkpoint, checkpoint)
    shutil.copy(small_run.folder / "run.yaml", tmp_path / "run")
    home = tmp_path / "run" / "programs"
    (home / "step-00000001-of-before").mkdir(parents=True)

    def load(**settings):
        return in_runtime(checkpoint, p2pkit.load(checkpoint, **settings), "onnxruntime")

    assert load().translate(np.zeros((9, 9, 3), np.uint8)).shape == (9, 9, 3)
    load()
    assert len(written) == 1
    (folder,) = home.iterdir()  # that of the checkpoint that is gone has gone too
    (folder / "model.onnx").write_bytes(b"damaged")
    load()
    assert len(written) == 2
    load(**{"evaluate.batch_norm": "batch"})
    assert (len(written), len([*home.iterdir()])) == (3, 2)


def test_a_program_that_makes_other_images_is_not_kept(small_run, monkeypatch):
    def write(graph, *asked, **how):
        return None, lambda given: run_graph(graph, given) + 0.1

    monkeypatch.setattr("p2pkit.programs.writing.write_program", write)
    model = replace(p2pkit.load(small_run.checkpoint), batch_norm="batch")
    before = {*(small_run.folder / "programs").glob("*")}
    with pytest.raises(ModelError, match=r"in onnxruntime differs from the network by(?s:.)*say --runtime torch"):
        in_runtime(small_run.checkpoint, model, "onnxruntime")
    assert {*(small_run.folder / "programs").glob("*")} == before


def test_noise_is_no_program_for_a_runtime_either(small_run):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match="dropout stays active"):
        p2pkit.load(small_run.checkpoint, runtime="onnxruntime", **{"evaluate.dropout": "on"})
