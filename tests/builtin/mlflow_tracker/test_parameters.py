"""Parameters, names, inputs, signatures and gains, as MLflow takes them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from torch import nn

import p2pkit
from p2pkit.builtin.mlflow_tracker import inputs, model, parameters, recorder
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision


def test_lists_of_components_become_their_names(tiny_run: p2pkit.Run) -> None:
    flip = {"use": "p2pkit:flip", "alias": "flip", "params": {"p": 0.5, "other": None}}
    config = {**tiny_run.config, "augment": [flip, {**flip, "params": {"p": 1.0}}], "deep": {"a b": {"c!": [1, 2]}}}
    params = parameters.parameters(replace(tiny_run, config=config))
    assert params["augment"] == "flip, flip"
    assert params["augment.flip.p"] == "0.5"
    assert params["augment.flip_2.p"] == "1"
    assert params["deep.a b.c_"] == "[1, 2]"
    assert "augment.flip.other" not in params


def test_machine_paths_are_tags(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    dataset = {**tiny_run.config["dataset"], "params": {"root": str(tmp_path), "direction": "b_to_a"}}
    run = replace(tiny_run, config={**tiny_run.config, "dataset": dataset})
    assert "dataset.params.root" not in parameters.parameters(run)
    assert parameters.parameters(run)["dataset.params.direction"] == "b_to_a"
    assert parameters.tags(run)["p2pkit.dataset.params.root"] == str(tmp_path)


@pytest.mark.parametrize(("given", "allowed"), [("a/b", "a/b"), ("/a//b/../c", "a/b/c"), ("l1 (soft)", "l1 _soft_")])
def test_names_are_made_of_what_mlflow_allows(given: str, allowed: str) -> None:
    assert parameters.name(given) == allowed


def test_digests_are_short_whatever_the_fingerprint(tiny_run: p2pkit.Run) -> None:
    facts = tiny_run.dataset
    assert inputs._digest(facts, "train") == "aa11"
    assert inputs._digest(facts, "val") == "bb22"
    for odd in ("", "-", "x" * 100, "one/two-three-four"):
        digest = inputs._digest(replace(facts, fingerprint=odd), "train")
        assert digest.isalnum()
        assert len(digest) == 12


def test_a_model_asks_for_the_plugins_it_was_made_with(tiny_run: p2pkit.Run, install: Any) -> None:
    install("", name="acme", version="1.2")
    run = replace(tiny_run, versions={**tiny_run.versions, "acme": "1.2"})
    own = [f"p2pkit=={p2pkit.__version__}", "torch==2.11.0"]
    assert model.requirements(run) == own
    foreign = {**run.config, "generator": {"use": "acme:unet", "params": {}}}
    assert model.requirements(replace(run, config=foreign)) == [*own, "acme-dist==1.2"]


@pytest.mark.usefixtures("mlflow_here")
def test_gains_are_those_of_the_report_in_percent(tiny_run: p2pkit.Run, tmp_path: Path) -> None:
    """A perfect baseline can't be beaten by any share, and the other one is not what a gain is over."""
    baselines = {"source": {"l1": 0.6, "psnr": math.inf}, "mean": {"l1": 0.4, "psnr": 10.0}}
    report = p2pkit.Report("val", 8, {"l1": 0.3, "psnr": 20.0}, baselines, {"l1": False, "psnr": True})
    recording = recorder.Recorder.begin(replace(tiny_run, folder=tmp_path))
    recording.log_report(0, report)
    recording.finish(None)
    metrics = MlflowClient().get_run(recording.run_id).data.metrics
    logged = {key: value for key, value in metrics.items() if key.startswith("val/gain_percent/")}
    assert logged == pytest.approx({"val/gain_percent/l1": 25.0})


@pytest.mark.parametrize(
    ("image", "channels", "kind"),
    [
        (p2pkit.ImageSpec(3), 3, "uint8"),
        (p2pkit.ImageSpec(1, high=65535), 1, "uint16"),
        (p2pkit.ImageSpec(2, low=-1, high=1), 2, "float32"),
        (p2pkit.ImageSpec(12, kind="labels"), 1, "uint8"),
        (p2pkit.ImageSpec(256, kind="labels"), 1, "uint8"),
        (p2pkit.ImageSpec(257, kind="labels"), 1, "uint16"),
    ],
)
def test_signatures_are_of_stored_images(image: p2pkit.ImageSpec, channels: int, kind: str) -> None:
    (tensor,) = inputs.image_schema(image).inputs
    assert tensor.shape == (-1, -1, -1, channels)
    assert tensor.type == np.dtype(kind)


GREY, DEEP, FLOATS = p2pkit.ImageSpec(1), p2pkit.ImageSpec(1, high=65535), p2pkit.ImageSpec(1, low=-1, high=1)
FEW, MANY = p2pkit.ImageSpec(2, kind="labels"), p2pkit.ImageSpec(300, kind="labels")


@pytest.mark.parametrize("source", [GREY, DEEP, FLOATS, FEW, MANY])
@pytest.mark.parametrize("target", [GREY, DEEP, FLOATS, FEW, MANY])
def test_a_signature_is_of_what_the_model_takes_and_makes(source: p2pkit.ImageSpec, target: p2pkit.ImageSpec) -> None:
    images = p2pkit.PairSpec(source, target, 4, 4)
    network = nn.Conv2d(source.channels, target.channels, 1)
    place = Placement(torch.device("cpu"), Precision("fp32", torch.device("cpu")), torch.channels_last)
    found = model.signature(images)
    given = np.zeros((2, 4, 4, 1), found.inputs.inputs[0].type)
    assert given.dtype == p2pkit.to_stored(torch.zeros(1, source.channels, 1, 1), source).numpy().dtype
    fakes = p2pkit.Translator(network, images, place).translate(given)
    assert fakes.dtype == found.outputs.inputs[0].type
    assert fakes.shape[3] == found.outputs.inputs[0].shape[3]
