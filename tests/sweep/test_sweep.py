"""Sweeps: a grid checked whole, trained point by point, shown side by side, and gone on with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from p2pkit import ConfigError, ModelError
from p2pkit.api import train
from p2pkit.sweep import outline, resume_sweep, sweep

TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 8}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": 1, "l1": 100},
    "schedule": {"epochs": 1},
    "engine": {"batch": 4},
    "evaluate": {"metrics": ["l1"], "samples": 2, "every": 0},
}


def test_all_points_are_checked_before_the_first_is_trained(quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs")}
    with pytest.raises(ConfigError) as caught:
        sweep(TINY, ["generator=unet_tiny,unet_256,unett"], **options)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["generator=unet_256: generator.params.depth", "generator=unett: generator.use"]
    assert not (tmp_path / "runs").exists()


def test_named_points_come_from_the_config(quiet, tmp_path):
    points = {"plain": {"losses.gan": 0}, "both": {"losses": {"l1": 10}}}
    config = {**TINY, "sweep": {"points": points, "seeds": 2}}
    swept = sweep(config, registry=quiet, **{"tracking.folder": str(tmp_path / "runs"), "schedule.epochs": 2})
    assert [child.name for child in swept.children] == [f"{p}_seed={s}" for p in ("plain", "both") for s in (0, 1)]
    assert [child.state for child in swept.children] == ["finished"] * 4
    options = {"registry": quiet, "tracking.folder": str(tmp_path), "schedule.epochs": 2, "engine.seed": 1}
    single = train(TINY, **options, **{"losses.l1": 10})
    assert single.report.metrics["l1"] == swept.children[3].metrics["l1"]
    assert single.step == 4


def test_a_sweep_is_outlined_and_not_trained_as_one_run(quiet, tmp_path):
    config = {**TINY, "sweep": {"points": {"plain": {"losses.gan": 0}, "both": {}}}}
    lines = outline(config, registry=quiet)
    assert [line for line in lines if not line.startswith(" ")] == [
        "plain: 1 run",
        "both: 1 run",
        "2 runs in all; their configs are in order",
    ]
    assert sum("100 x l1" in line for line in lines) == 2
    assert outline(TINY, registry=quiet)[-1] == "the config is in order"
    with pytest.raises(ConfigError, match="run it with p2pkit sweep"):
        train(config, registry=quiet, **{"tracking.folder": str(tmp_path / "runs")})
    assert not (tmp_path / "runs").exists()


def test_mistakes_in_the_sweep_itself_are_the_configs_mistakes(quiet):
    config = {**TINY, "sweep": {"point": {}, "axes": {"losses.l1.weight": 3}, "seeds": 0}}
    with pytest.raises(ConfigError) as caught:
        sweep(config, registry=quiet)
    assert [problem.path for problem in caught.value.problems] == [
        "sweep.axes.losses.l1.weight",
        "sweep.seeds",
        "sweep.point",
    ]


def test_a_sweep_trains_scores_and_shows(quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "seeds": 2, "name": "s"}
    swept = sweep(TINY, ["losses.l1.weight=1,100"], **options)
    assert swept.complete
    assert [child.state for child in swept.children] == ["finished"] * 4
    table = swept.table()
    assert [row["label"] for row in table] == ["l1.weight=1", "l1.weight=100"]
    assert all(row["runs"] == 2 and row["l1_spread"] > 0 for row in table)
    mean = sum(child.metrics["l1"] for child in swept.children[:2]) / 2
    assert table[0]["l1"] == pytest.approx(mean)
    single = train(TINY, registry=quiet, **{"tracking.folder": str(tmp_path), "losses.l1.weight": 100})
    assert single.report.metrics["l1"] == swept.children[2].metrics["l1"]
    with Image.open(swept.sheet) as sheet:
        assert np.asarray(sheet).std() > 0
        assert sheet.size[0] >= 4 * 128  # source, target and two points


def test_a_failed_run_is_recorded_and_the_sweep_goes_on(quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "schedule.epochs": 3}
    swept = sweep(TINY, ["optimizers.generator.lr=1.0e+30,1.0e-3"], **options)
    assert [child.state for child in swept.children] == ["failed", "finished"]
    assert "no longer a finite number" in swept.children[0].error
    assert [row["runs"] for row in swept.table()] == [0, 1]


def test_an_interrupted_sweep_goes_on_where_it_was(quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "name": "s"}
    whole = sweep(TINY, ["losses.l1.weight=1,100"], **options)
    state = whole.folder / "sweep.json"
    data = json.loads(state.read_text())
    data["children"][1] |= {"state": "waiting", "metrics": {}}
    state.write_text(json.dumps(data))
    before = (whole.folder / whole.children[0].name / "run.yaml").stat().st_mtime_ns
    resumed = resume_sweep(whole.folder, registry=quiet)
    assert [child.metrics for child in resumed.children] == [child.metrics for child in whole.children]
    assert (whole.folder / whole.children[0].name / "run.yaml").stat().st_mtime_ns == before
    with pytest.raises(ModelError, match="no sweep to go on with"):
        resume_sweep(tmp_path, registry=quiet)
