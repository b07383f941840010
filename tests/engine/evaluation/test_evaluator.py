from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from p2pkit.engine.evaluation.inference_mode import InferenceMode, run_in_mode
from p2pkit.engine.evaluation.sample_sheet import Row, draw_sheet
from p2pkit.engine.storage.evaluations import load_evaluation


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.InstanceNorm2d(4))


def test_running_statistics_and_no_dropout(network):
    image = torch.randn(2, 3, 4, 4)
    with run_in_mode(network, InferenceMode()):
        assert torch.equal(network(image), network(image))
        torch.testing.assert_close(network(image)[:1], network(image[:1]))


def test_batch_statistics_leave_no_trace(network):
    image = torch.randn(1, 3, 4, 4) * 5 + 3
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with run_in_mode(network, InferenceMode("batch")):
        normalised = network[1](network[0](image))
        assert normalised.mean().abs() < 1e-5
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert network[1].momentum == 0.1


def test_dropout_on_is_repeatable_and_leaves_the_seed_alone(network):
    image = torch.randn(1, 3, 4, 4)
    state = torch.get_rng_state()
    outputs = []
    for _ in range(2):
        with run_in_mode(network, InferenceMode(dropout="on")):
            outputs.append(network[2](network[0](image)))
    assert torch.equal(*outputs)
    assert (outputs[0] == 0).any()
    assert torch.equal(state, torch.get_rng_state())


def test_modes_come_back(network):
    network.train()
    network[2].eval()
    with run_in_mode(network, InferenceMode("batch", "on")):
        assert network[2].training
        assert not network[3].training
    assert network.training
    assert not network[2].training


def test_report_beside_its_baselines(work):
    report = work(**{"evaluate.metrics": ["l1", "psnr"]}).train().report
    assert report.split == "val"
    assert report.count == 8
    assert set(report.baselines) == {"source", "mean"}
    assert report.higher_is_better == {"l1": False, "psnr": True}
    best = min(scores["l1"] for scores in report.baselines.values())
    assert report.gains["l1"] == pytest.approx((best - report.metrics["l1"]) / best)


def test_mean_baseline_is_the_mean_of_the_training_targets(checked, work):
    report = work().train().report
    dataset = checked().dataset
    train = torch.stack([pair.target for pair in dataset.pairs("train")]).float() / 127.5 - 1
    held_out = torch.stack([pair.target for pair in dataset.pairs("val")]).float() / 127.5 - 1
    assert report.baselines["mean"]["l1"] == pytest.approx((held_out - train.mean(0)).abs().mean().item(), rel=1e-4)


def test_baselines_can_be_left_out(work):
    assert work(**{"evaluate.baselines": False}).train().report.baselines == {}


def test_samples_are_spread_over_the_split(work):
    samples = work(**{"evaluate.samples": 3}).train().samples
    assert len(samples.pictures) == 3
    assert samples.pictures[0].shape == (16, 48, 3)
    assert len(set(samples.names)) == 3


def test_sheet_has_a_row_for_each_pair(tmp_path):
    red, blue = (np.full((16, 16, 3), colour, np.uint8) for colour in ([255, 0, 0], [0, 0, 255]))
    draw_sheet([Row("one", (red, blue)), Row("two", (blue, red))], ("source", "fake"), tmp_path / "a" / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "a" / "sheet.png"))
    reds = (pixels == [255, 0, 0]).all(-1)
    assert reds.sum() == 2 * 128 * 128  # enlarged eightfold, nothing blurred
    assert reds[:, : pixels.shape[1] // 2].sum() == 128 * 128


def test_protocol_says_how_each_metric_was_measured(work):
    report = work(**{"evaluate.metrics": ["l1", "psnr"]}).train().report
    said = dict(report.protocols["l1"])
    assert len(said.pop("pairs")) == 8
    assert said == {
        "dataset": "shapes",
        "split": "val",
        "count": 8,
        "size": "16x16",
        "resize": "not stated",
        "batch_norm": "running",
        "dropout": "off",
        "metric": "p2pkit:l1",
        "version": "1",
    }
    assert report.protocol_ids["l1"] != report.protocol_ids["psnr"]


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"engine.seed": 5}, set()),
        ({"evaluate.batch_norm": "batch"}, {"batch_norm"}),
        ({"evaluate.dropout": "on"}, {"dropout"}),
        ({"dataset.params.seed": 7}, {"pairs"}),
        ({"evaluate.split": "train"}, {"split", "count", "pairs"}),
        ({"evaluate.batch_norm": "recalibrated"}, {"batch_norm", "recalibrated"}),
    ],
)
def test_what_makes_protocols_differ(work, tmp_path, changed, differs):
    short = {"schedule.epochs": 1, "evaluate.every": 0}
    one, other = (work(tmp_path / str(i), **short, **more).train().report for i, more in enumerate(({}, changed)))
    first, second = one.protocols["l1"], other.protocols["l1"]
    assert {key for key in first | second if first.get(key) != second.get(key)} == differs
    assert (one.protocol_ids == other.protocol_ids) == (not differs)


def test_evaluation_files_keep_the_protocols(work):
    outcome = work().train()
    report, _ = load_evaluation(outcome.samples.sheet)
    assert report == outcome.report
    assert report.protocol_ids == outcome.report.protocol_ids
