"""Optuna's search: points chosen one after another, told how they did, shared by several processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pkit import ConfigError
from p2pkit.config import SweepConfig
from p2pkit.sweep import join_sweep, sweep
from p2pkit.sweep.search import Search
from p2pkit.sweep.store import Store

pytest.importorskip("optuna")

WANTED = SweepConfig(
    points={"a": {}, "b": {"engine.batch": 2}},
    axes={"losses.l1.weight": "1..300:log", "depth": "2..4", "generator": ["unet_tiny", {"use": "resnet_6"}]},
    seeds=2,
    search="optuna",
    trials=3,
)


def finished(children, *values):
    return [replace(c, state="finished", metrics={"l1": v}) for c, v in zip(children, values, strict=True)]


def test_a_point_is_chosen_for_all_seeds_and_its_mean_is_told(tmp_path):
    search = Search(tmp_path, WANTED, "l1", higher_is_better=False, first=True)
    children = search.ask()
    assert [child.seed for child in children] == [0, 1]
    settings = children[0].settings
    assert settings == children[1].settings
    assert 1 <= settings["losses.l1.weight"] <= 300
    assert settings["depth"] in (2, 3, 4)
    assert settings["generator"] in ("unet_tiny", {"use": "resnet_6"})
    assert ("engine.batch" in settings) == (" b " in children[0].label)
    search.tell(finished(children, 1.0, 3.0))
    search.tell(finished(children, 9.0, 9.0))  # who tells later, tells nothing new
    assert search._study.best_value == 2.0


def test_failures_are_told_and_what_others_found_is_seen(tmp_path):
    first = Search(tmp_path, WANTED, "l1", higher_is_better=True, first=True)
    other = Search(tmp_path, WANTED, "l1", higher_is_better=True, first=False)
    failed, good = first.ask(), other.ask()
    assert {child.trial for child in (*failed, *good)} == {0, 1}
    first.tell([replace(failed[0], state="failed"), *finished(failed[1:], 5.0)])
    other.tell(finished(good, 1.0, 2.0))
    assert [trial.state.name for trial in first._study.trials] == ["FAIL", "COMPLETE"]
    assert first._study.best_value == 1.5


def test_a_metric_with_several_values_tells_its_first(tmp_path):
    search = Search(tmp_path, WANTED, "classes", higher_is_better=True, first=True)
    search.tell([replace(child, metrics={"classes/a": 0.5, "classes/b": 0.1}) for child in search.ask()])
    assert search._study.best_value == 0.5


@pytest.fixture
def searched(tiny):
    """A search for the learning rate of a run without adversary, of one step."""
    own = {"axes": {"optimizers.generator.lr": "1e-5..1e-2:log"}, "search": "optuna", "trials": 3}
    short = {"losses": {"l1": 100}, "schedule": {"steps": 1}, "sweep": own}
    return {**tiny, **short, "evaluate": {**tiny["evaluate"], "metrics": ["psnr"]}}


def test_a_search_trains_all_its_points_and_goes_on_after_a_stop(searched, quiet, tmp_path):
    swept = sweep(searched, registry=quiet, name="s", **{"tracking.folder": str(tmp_path / "runs")})
    assert [child.state for child in swept.children] == ["finished"] * 3
    assert swept.complete
    assert swept.best["psnr"] == max(child.metrics["psnr"] for child in swept.children)
    store = Store(swept.folder)
    (store.folder / "progress" / "0002.json").unlink()  # as if it was stopped before the last point was chosen
    resumed = join_sweep(swept.folder, registry=quiet)
    assert resumed.children[:2] == swept.children[:2]
    assert resumed.children[2].trial == 3
    assert resumed.complete


def test_what_optuna_can_not_search(searched, quiet, monkeypatch):
    with pytest.raises(ConfigError, match="how many points"):
        sweep({**searched, "sweep": {**searched["sweep"], "trials": None}}, registry=quiet)
    with pytest.raises(ConfigError, match=r"lr=1e-05 l1\.weight=1: generator\.params\.depth"):
        sweep({**searched, "generator": "unet_256"}, ["losses.l1.weight=1..100000"], registry=quiet)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'p2pkit\[sweep\]'"):
        sweep(searched, registry=quiet)
