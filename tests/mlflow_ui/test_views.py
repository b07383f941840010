"""What MLflow's interface is asked to draw."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from p2pkit.mlflow_ui.views import TAG, save_view, view


def run(params, metrics):
    return SimpleNamespace(data=SimpleNamespace(params=params, metrics=metrics))


SCORES = {
    "val/psnr": 20.0,
    "val/l1": 0.2,
    "val/gain_percent/l1": 3.0,
    "train/generator/l1": 0.3,
    "speed/data_wait": 0.1,
}


def runs(*changes):
    shared = {"losses.gan.weight": "1", "engine.seed": "0", "evaluate.metrics": "psnr, l1", "generator": "unet_64"}
    return [run({**shared, **each}, SCORES) for each in changes]


def charts(state, kind):
    return [chart for chart in state["compareRunCharts"] if chart["type"] == kind]


def test_columns_are_what_differs_and_the_scores():
    state = view(runs({"losses.l1.weight": "1"}, {"losses.l1.weight": "10", "engine.seed": "1"}), [])
    assert state["selectedColumns"] == ["params.`losses.l1.weight`", "metrics.`val/psnr`", "metrics.`val/l1`"]


def test_what_differs_is_drawn():
    state = view(runs({"losses.l1.weight": "1"}, {"losses.l1.weight": "10", "losses.gan.weight": "0"}), [])
    (parallel,) = charts(state, "PARALLEL")
    assert parallel["selectedParams"] == ["losses.gan.weight", "losses.l1.weight"]
    assert parallel["selectedMetrics"] == ["val/psnr", "val/l1"]
    axes = [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in charts(state, "SCATTER")]
    assert axes == [(key, score) for key in parallel["selectedParams"] for score in parallel["selectedMetrics"]]
    (contour,) = charts(state, "CONTOUR")
    assert contour["zaxis"] == {"key": "val/psnr", "type": "METRIC"}
    assert [each["name"] for each in state["compareRunSections"]] == ["what differs", "val"]


def test_names_have_no_axis_of_numbers():
    state = view(runs({"generator": "unet_64"}, {"generator": "resnet_6"}), [])
    assert len(charts(state, "PARALLEL")) == 1
    assert charts(state, "SCATTER") == charts(state, "CONTOUR") == []


def test_samples_are_one_grid_at_the_last_step():
    state = view(runs({}), [("val/samples/a", 10), ("val/samples/b", 12)])
    (grid,) = state["compareRunCharts"]
    assert grid["imageKeys"] == ["val/samples/a", "val/samples/b"]
    assert grid["step"] == 12
    assert [each["name"] for each in state["compareRunSections"]] == ["samples", "val"]


@pytest.mark.parametrize("count", [0, 40])
def test_a_view_fits_into_a_tag(mlflow_here, count):
    client = MlflowClient()
    experiment = client.create_experiment("weights")
    for index in range(count and 2):
        made = client.create_run(experiment, tags={"p2pkit.kind": "training"}).info.run_id
        for key in range(count):
            client.log_param(made, f"generator.params.a_rather_long_name_{key}", index)
            client.log_metric(made, f"val/a_rather_long_metric_{key}", index)
    save_view(client, experiment, "p2pkit")
    text = client.get_experiment(experiment).tags[f"{TAG}p2pkit"]
    assert text.startswith("deflate;")
    assert len(text) < 5000
    save_view(client, experiment, "p2pkit")
    assert client.get_experiment(experiment).tags[f"{TAG}p2pkit"] == text
