"""What MLflow's interface is asked to draw."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from p2pkit.mlflow_ui.views import TAG, fill_terms, save_view, view


def run(params, metrics):
    return SimpleNamespace(data=SimpleNamespace(params=params, metrics=metrics))


SCORES = {
    "val/psnr": 20.0,
    "val/l1": 0.2,
    "val/gain_percent/l1": 3.0,
    "train/generator/l1": 0.3,
    "speed/data_wait": 0.1,
    "speed/images_per_second": 9.0,
    "train/gradient_share/l1": 0.9,
    "health/collapsed": 0.0,
    "val/variety": 0.1,
    "val/baseline_mean/l1": 0.3,
}


def runs(*changes):
    shared = {"losses.gan.weight": "1", "engine.seed": "0", "evaluate.metrics": "psnr, l1", "generator": "unet_64"}
    return [run({**shared, **each}, SCORES) for each in changes]


def charts(state, kind):
    return [chart for chart in state["compareRunCharts"] if chart["type"] == kind]


def test_columns_are_what_differs_and_the_scores():
    state = view(runs({"losses.l1.weight": "1"}, {"losses.l1.weight": "10", "engine.seed": "1"}), [])
    scores = ["metrics.`val/psnr`", "metrics.`val/l1`"]
    assert state["selectedColumns"] == ["params.`losses.l1.weight`", *scores]


def test_what_differs_is_drawn():
    state = view(runs({"losses.l1.weight": "1"}, {"losses.l1.weight": "10", "losses.gan.weight": "0"}), [])
    (parallel,) = charts(state, "PARALLEL")
    assert parallel["selectedParams"] == ["losses.gan.weight", "losses.l1.weight"]
    assert parallel["selectedMetrics"] == ["val/psnr", "val/l1"]
    axes = [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in charts(state, "SCATTER")]
    assert axes == [(key, score) for key in parallel["selectedParams"] for score in parallel["selectedMetrics"]]
    (contour,) = charts(state, "CONTOUR")
    assert contour["zaxis"] == {"key": "val/psnr", "type": "METRIC"}
    assert [each["name"] for each in state["compareRunSections"]] == ["what differs", "gradient shares", "val"]


def test_networks_are_seen_as_bars_and_by_their_size():
    state = view(
        runs({"generator": "unet_64", "size.generator": "9"}, {"generator": "resnet_6", "size.generator": "7"}), []
    )
    assert len(charts(state, "PARALLEL")) == 1
    bars = [chart["metricKey"] for chart in charts(state, "BAR")]
    assert bars == ["val/psnr", "val/l1", "speed/images_per_second", "train/gradient_share/l1"]
    assert [chart["xaxis"]["key"] for chart in charts(state, "SCATTER")] == ["size.generator", "size.generator"]
    assert charts(state, "CONTOUR") == []
    assert {"params.`size.generator`", "metrics.`speed/images_per_second`"} <= {*state["selectedColumns"]}


def test_a_score_that_a_run_lacks_has_no_axis_of_lines():
    found = runs({"losses.l1.weight": "1"}, {"losses.l1.weight": "10"})
    found[1].data.metrics = {"val/l1": 0.2}
    (parallel,) = charts(view(found, []), "PARALLEL")
    assert parallel["selectedMetrics"] == ["val/l1"]


def test_ranges_leave_the_untrained_network_out():
    changes = {"losses.l1.weight": "1"}, {"losses.l1.weight": "10"}
    state = view(runs(*changes), [], curves={"val/l1": [0.2, 0.3], "val/psnr": [20.0]})
    (line,) = charts(state, "LINE")
    assert (line["metricKey"], line["metricSectionId"], line["range"]) == (
        "val/l1",
        "val",
        {"yMin": 0.195, "yMax": 0.305},
    )
    assert line["lineSmoothness"] == 0  # else the line ends elsewhere than at the last score


def test_means_are_of_runs_that_differ_in_the_seed():
    changes = {"losses.l1.weight": "1"}, {"losses.l1.weight": "10"}
    assert view(runs(*changes), [])["groupBy"] is None
    grouped = view(runs(*changes), [], means=True)["groupBy"]
    assert grouped["groupByKeys"] == [{"mode": "param", "groupByData": "losses.l1.weight"}]


def test_a_term_that_only_others_have_weighs_nothing(mlflow_here):
    client = MlflowClient()
    experiment = client.create_experiment("terms")
    ids = [client.create_run(experiment, tags={"p2pkit.kind": "training"}).info.run_id for _ in range(2)]
    client.log_param(ids[0], "losses.perceptual.weight", "10")
    client.log_metric(ids[0], "train/gradient_share/perceptual", 0.4)
    for _ in range(2):
        fill_terms(client, client.search_runs([experiment]))
    assert client.get_run(ids[1]).data.params == {"losses.perceptual.weight": "0"}
    assert client.get_run(ids[0]).data.params == {"losses.perceptual.weight": "10"}
    histories = [client.get_metric_history(run_id, "train/gradient_share/perceptual") for run_id in ids]
    assert [[point.value for point in history] for history in histories] == [[0.4], [0]]


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
