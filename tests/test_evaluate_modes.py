"""One checkpoint in every mode."""

from __future__ import annotations

import pytest

import p2pkit
from p2pkit.engine.evaluation.inference_mode import InferenceMode
from p2pkit.evaluate_modes import survey

NETWORK = {"use": "unet", "params": {"depth": 4, "width": 8, "dropout_blocks": [1]}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quiet):
    folder = tmp_path_factory.mktemp("runs")
    config = {
        "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
        "generator": NETWORK,
        "losses": {"l1": 100},
        "schedule": {"epochs": 2},
        "engine": {"batch": 4, "device": "cpu"},
        "evaluate": {"metrics": ["l1", "psnr"], "samples": 1, "every": 0},
        "tracking": {"folder": str(folder)},
    }
    return p2pkit.train(config, registry=quiet)


@pytest.fixture(scope="module")
def surveyed(trained, quiet):
    return survey(trained.folder, registry=quiet)


def test_every_mode(surveyed, trained):
    modes = [InferenceMode(norm, dropout) for norm in ("running", "recalibrated", "batch") for dropout in ("off", "on")]
    assert list(surveyed.modes) == modes
    assert set(surveyed.runs) == {(mode, "val") for mode in modes}
    own = surveyed.runs[InferenceMode(), "val"].report
    assert own.metrics == pytest.approx(trained.report.metrics)
    assert len({run.report.metrics["l1"] for run in surveyed.runs.values()}) > 4
    assert len({run.report.protocol_ids["l1"] for run in surveyed.runs.values()}) == 6
    assert surveyed.kept is None


def test_best_is_by_the_metrics_direction_on_held_out_pairs(surveyed):
    for metric, choose in (("l1", min), ("psnr", max)):
        held_out = {mode: run.report.metrics[metric] for (mode, split), run in surveyed.runs.items() if split == "val"}
        assert surveyed.best(metric) == choose(held_out, key=held_out.get)
    with pytest.raises(p2pkit.ModelError, match="there are: l1, psnr"):
        surveyed.best("ssim")


@pytest.mark.parametrize("batch_norm", ["recalibrated", "batch"])
def test_the_kept_mode_is_used_from_then_on(trained, quiet, monkeypatch, batch_norm):
    monkeypatch.setattr("p2pkit.evaluate_modes.available_modes", lambda generator: [InferenceMode(batch_norm, "off")])
    kept = survey(trained.folder, keep="l1", registry=quiet)
    assert kept.kept == InferenceMode(batch_norm, "off")
    translator = p2pkit.load(trained.checkpoint, registry=quiet)
    assert translator.batch_norm == batch_norm
    assert (translator.statistics is not None) == (batch_norm == "recalibrated")
    again = p2pkit.evaluate(trained.folder, registry=quiet).report
    assert again.protocol["batch_norm"] == batch_norm
    assert again.metrics == pytest.approx(kept.runs[kept.kept, "val"].report.metrics)


def test_modes_that_make_no_difference_are_left_out(trained, quiet, tmp_path):
    plain = {"generator": {"use": "unet", "params": {"depth": 4, "width": 8, "dropout": 0.0, "norm": "instance"}}}
    config = p2pkit.train(
        {
            "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
            **plain,
            "losses": {"l1": 100},
            "schedule": {"steps": 1},
            "engine": {"batch": 4, "device": "cpu"},
            "evaluate": {"metrics": ["l1"], "samples": 1, "every": 0},
            "tracking": {"folder": str(tmp_path)},
        },
        registry=quiet,
    )
    assert survey(config.folder, registry=quiet).modes == (InferenceMode(),)


def test_the_gap_is_scored_in_one_mode(surveyed, trained, quiet):
    found = survey(trained.folder, modes=False, gap=True, registry=quiet, **{"evaluate.batch_norm": "running"})
    assert set(found.runs) == {(InferenceMode(), "val"), (InferenceMode(), "train")}
    held_out, seen = (found.runs[InferenceMode(), split].report for split in ("val", "train"))
    assert held_out.metrics == surveyed.runs[InferenceMode(), "val"].report.metrics
    assert (held_out.count, seen.count) == (8, 12)


def test_a_gap_needs_two_splits(trained, quiet):
    with pytest.raises(p2pkit.ModelError, match="held-out"):
        survey(trained.folder, gap=True, split="train", registry=quiet)
