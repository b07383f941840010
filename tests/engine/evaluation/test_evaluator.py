"""Scores beside their baselines, and how they were measured."""

from __future__ import annotations

import pytest
import torch


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
