"""Optuna's search: points chosen one after another by what earlier ones gave, and runs that are pruned."""

from __future__ import annotations

import importlib.util
import math
import random
from types import SimpleNamespace

import optuna
import pytest

from p2pkit import ConfigError
from p2pkit.config import SweepConfig
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.sweep import join_sweep, sweep
from p2pkit.sweep.points import spell_out
from p2pkit.sweep.search import Verdict, chosen, enqueued, pruner, sampler
from p2pkit.sweep.storage import open_storage
from p2pkit.sweep.storage import quiet as unwarned
from p2pkit.sweep.study import Work, load_study

WANTED = SweepConfig(
    points={"a": {}, "b": {"engine.batch": 2}},
    axes={"losses.l1.weight": "1..300:log", "depth": "2..4", "generator": ["unet_tiny", {"use": "resnet_6"}]},
    seeds=2,
    search="optuna",
    trials=3,
)


def test_a_point_is_chosen_for_all_seeds():
    children = chosen(optuna.create_study().ask(), WANTED, 7)
    assert [child.seed for child in children] == [0, 1]
    settings = children[0].settings
    assert settings == children[1].settings
    assert 1 <= settings["losses.l1.weight"] <= 300
    assert settings["depth"] in (2, 3, 4)
    assert settings["generator"] in ("unet_tiny", {"use": "resnet_6"})
    assert children[0].label.startswith("007 ")
    assert ("engine.batch" in settings) == (" b " in children[0].label)


def test_optuna_knows_the_values_of_points_that_are_not_of_its_choice():
    wanted = WANTED.model_copy(update={"search": "random"})
    study = optuna.create_study()
    drawn = [unit[0] for unit in spell_out(wanted)][::2]
    for child in drawn:
        study.enqueue_trial(enqueued(wanted, child))
    for child in drawn:
        assert chosen(study.ask(), wanted, 0)[0].settings == child.settings


@pytest.mark.parametrize("search", ["tpe", "gp", "nsga2", pytest.param("cmaes", id="cmaes")])
def test_samplers_by_name_draw_the_same_for_the_same_seed(search):
    if importlib.util.find_spec("cmaes") is None and search == "cmaes":
        pytest.skip("cmaes is not installed")
    wanted = SweepConfig(axes={"x": "0.0..1.0", "y": "0.0..1.0"}, search=search, trials=8)

    def run(first):
        with unwarned():
            study = optuna.create_study(sampler=sampler(wanted, first=first))
        for _ in range(6):
            trial = study.ask()
            (child,) = chosen(trial, wanted, 0)
            study.tell(trial, child.settings["x"] ** 2 + child.settings["y"])
        return [trial.params for trial in study.trials]

    first = run(True)
    assert run(True) == first
    assert run(False) != first


def planned(prune):
    """A plan of a sweep that is pruned, with an evaluation after each epoch."""
    config = SimpleNamespace(evaluate=SimpleNamespace(every=1))
    return SimpleNamespace(wanted=SweepConfig(prune=prune), first=SimpleNamespace(plan=SimpleNamespace(config=config)))


def evaluated(trial, *values):
    """Report a run's evaluations; return the epoch at which it is pruned, and why."""
    verdict = Verdict(trial, "l1")
    for epoch, value in enumerate(values):
        why = verdict(Progress(step=10 * epoch, epoch=epoch), SimpleNamespace(metrics={"l1": value}))
        if why:
            assert verdict.ended(f"stopped early at step {10 * epoch}: {why}")
            return epoch, why
    assert not verdict.ended("all 40 steps are done")
    return None


@pytest.mark.parametrize(("name", "epoch"), [("none", None), ("median", 1), ("hyperband", 1), ("wilcoxon", 4)])
def test_what_is_clearly_worse_is_pruned_and_what_is_better_is_not(name, epoch):
    with unwarned():
        study = optuna.create_study(study_name="s", pruner=pruner(planned(name)))
    for _ in range(6):
        trial = study.ask()
        assert evaluated(trial, 9, 1.0, 0.9, 0.8, 0.7, 0.6) is None
        study.tell(trial, 0.6)
    assert evaluated(study.ask(), 9, 0.5, 0.4, 0.3, 0.2, 0.1) is None
    worse = evaluated(study.ask(), 9, 2.0, 2.1, 2.2, 2.3, 2.4)
    assert (worse and worse[0]) == epoch
    if worse:
        assert worse[1].startswith("pruned, as l1 is 2")


def test_hyperband_finds_the_best_point_of_a_grid_at_a_part_of_its_cost():
    points, epochs = random.Random(0).sample(range(36), 36), 14
    study = optuna.create_study(study_name="s0", pruner=pruner(planned("hyperband")))
    trained, results = 0, {}
    for point in points:
        trial = study.ask()
        curve = [abs(point - 15) + 16 * math.exp(-epoch / (2 + point % 3)) for epoch in range(epochs + 1)]
        ended = evaluated(trial, *curve)
        trained += ended[0] if ended else epochs
        if ended is None or ended[0] == epochs:
            results[point] = curve[-1]
            study.tell(trial, curve[-1])
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert min(results, key=results.get) == 15
    assert trained <= 0.4 * len(points) * epochs


def test_an_evaluation_that_comes_once_more_is_not_told_twice():
    study = optuna.create_study(pruner=pruner(planned("median")))
    trial = study.ask()
    assert evaluated(trial, 1.0, 2.0) is None
    assert evaluated(trial, 1.0, 3.0, 4.0) is None
    assert study.trials[0].intermediate_values == {1: 2.0, 2: 4.0}


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
    work = Work(load_study(open_storage(None, swept.folder), "s"), SimpleNamespace(wanted=SweepConfig()), first=False)
    work._current()[2].user_attrs["runs"].clear()  # as if it was stopped before the last point was chosen
    work._enqueue(work._current()[2])
    resumed = join_sweep(swept.folder, registry=quiet)
    assert resumed.children[:2] == swept.children[:2]
    assert resumed.children[2].label.startswith("002 ")
    assert resumed.complete


@pytest.fixture
def pruned(tiny):
    """A grid whose later learning rates are hopeless."""
    own = {"axes": {"optimizers.generator.lr": [1e-2, 1e-9, 2e-9]}, "prune": "wilcoxon"}
    short = {"losses": {"l1": 100}, "schedule": {"epochs": 5}, "sweep": own}
    return {**tiny, **short, "evaluate": {**tiny["evaluate"], "metrics": ["psnr"], "every": 1}}


def test_pruned_runs_are_named_so_and_count_for_nothing(pruned, quiet, tmp_path, capsys):
    swept = sweep(pruned, registry=quiet, name="h", progress=True, **{"tracking.folder": str(tmp_path / "runs")})
    assert [child.state for child in swept.children] == ["finished", "pruned", "pruned"]
    assert swept.complete
    assert len(swept.finished) == 1
    assert swept.children[1].error.startswith("stopped early at step 12: pruned, as psnr is ")
    rows = {row["label"]: row for row in swept.table()}
    assert [(row["runs"], row.get("pruned")) for row in rows.values()] == [(1, None), (0, 1), (0, 1)]
    assert swept.best["label"] == "optimizers.generator.lr=0.01"
    assert "pruned" in (swept.folder / "table.csv").read_text().splitlines()[0]
    assert "pruned, as psnr is" in capsys.readouterr().out
    assert join_sweep(swept.folder, registry=quiet).children == swept.children


@pytest.mark.parametrize(
    ("changes", "path", "cause"),
    [
        ({"sweep.trials": None}, "sweep.trials", "how many points"),
        ({"sweep.by": "psnr,parameters,images/s"}, "sweep.by", "holds 3 metrics"),
        ({"sweep.by": ["psnr", "parameters"], "sweep.search": "cmaes"}, "sweep.search", "cmaes goes by one metric"),
        ({"sweep.by": ["psnr", "parameters"], "sweep.prune": "median"}, "sweep.prune", "goes by one metric"),
        ({"sweep.by": "images/s", "sweep.prune": "median"}, "sweep.prune", "goes by one metric"),
        ({"sweep.prune": "median", "evaluate.every": 0}, "sweep.prune", "there are none"),
        ({"sweep.storage": "redis://here"}, "sweep.storage", "pattern"),
    ],
)
def test_what_a_search_can_not_do(searched, quiet, monkeypatch, changes, path, cause):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with pytest.raises(ConfigError, match=cause) as caught:
        sweep(searched, registry=quiet, **{"evaluate.every": 1, **changes})
    assert [problem.path for problem in caught.value.problems] == [path]


def test_a_search_is_checked_at_its_corners_and_for_what_it_needs(searched, quiet, monkeypatch):
    with pytest.raises(ConfigError, match=r"lr=1e-05 l1\.weight=1: generator\.params\.depth"):
        sweep({**searched, "generator": "unet_256"}, ["losses.l1.weight=1..100000"], registry=quiet)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'p2pkit\[cmaes\]'"):
        sweep(searched, registry=quiet, **{"sweep.search": "cmaes"})
