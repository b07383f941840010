"""Parameters, names, inputs, signatures and gains, as MLflow takes them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import p2pkit
from p2pkit.builtin.mlflow_tracker import inputs, parameters, recorder


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
