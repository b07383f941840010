"""Sweeps: a grid checked whole, trained point by point, shown side by side, and gone on with."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from p2pkit import ConfigError, ModelError
from p2pkit.api import train
from p2pkit.compare import compare
from p2pkit.config import SweepConfig
from p2pkit.registry import load_registry
from p2pkit.sweep import join_sweep, outline, sweep
from p2pkit.sweep.storage import open_storage
from p2pkit.sweep.study import Work, load_study


def changed(swept, index, **changes):
    """Change how a run of a sweep stands, as if another process had left it so."""
    work = Work(
        load_study(open_storage(None, swept.folder), swept.folder.name),
        SimpleNamespace(wanted=SweepConfig()),
        first=False,
    )
    trial = work._current()[index]
    trial.user_attrs["runs"][0] |= changes
    work._enqueue(trial)
    return work


def test_all_points_are_checked_before_the_first_is_trained(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs")}
    with pytest.raises(ConfigError) as caught:
        sweep(tiny, ["generator=unet_tiny,unet_256,unett"], **options)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["generator=unet_256: generator.params.depth", "generator=unett: generator.use"]
    assert not (tmp_path / "runs").exists()


def test_named_points_come_from_the_config(tiny, quiet, tmp_path):
    points = {"plain": {"losses.gan": 0}, "both": {"losses": {"l1": 10}}}
    config = {**tiny, "sweep": {"points": points, "seeds": 2}}
    swept = sweep(config, registry=quiet, **{"tracking.folder": str(tmp_path / "runs"), "schedule.epochs": 2})
    assert [child.name for child in swept.children] == [f"{p}_seed={s}" for p in ("plain", "both") for s in (0, 1)]
    assert [child.state for child in swept.children] == ["finished"] * 4
    options = {"registry": quiet, "tracking.folder": str(tmp_path), "schedule.epochs": 2, "engine.seed": 1}
    compared = compare(swept.finished)
    assert sorted(point.label for point in compared.points) == ["both", "plain"]
    assert [len(point.runs) for point in compared.points] == [2, 2]
    single = train(tiny, **options, **{"losses.l1": 10})
    assert single.report.metrics["l1"] == swept.children[3].metrics["l1"]
    assert single.step == 6


def test_a_key_of_a_phase_is_an_axis(tiny, quiet):
    config = {**tiny, "schedule": {"epochs": 3}, "phases": [{"epochs": 1, "losses": {"gan": 0}}]}
    axes = {"phases.0.epochs": [1, 2], "phases.0.losses.l1": [3]}
    lines = outline({**config, "sweep": {"axes": axes}}, registry=quiet)
    told = [line.split("phase 1/2, ")[1] for line in lines if "phase 1/2" in line]
    assert told == ["epochs 1 to 1: 3 x l1", "epochs 1 to 2: 3 x l1"]
    with pytest.raises(ConfigError, match=r"phases.0.epochs=9: phases.0.epochs: the phases up to this one take 9"):
        outline({**config, "sweep": {"axes": {"phases.0.epochs": [9]}}}, registry=quiet)


def test_a_sweep_is_outlined_and_not_trained_as_one_run(tiny, quiet, tmp_path):
    config = {**tiny, "sweep": {"points": {"plain": {"losses.gan": 0}, "both": {}}}}
    lines = outline(config, registry=quiet)
    assert [line for line in lines if not line.startswith(" ")] == [
        "plain:",
        "both:",
        "2 points; the configs are in order",
    ]
    assert sum("100 x l1" in line for line in lines) == 2
    assert outline(tiny, registry=quiet)[-1] == "the config is in order"
    with pytest.raises(ConfigError, match="run it with p2pkit sweep"):
        train(config, registry=quiet, **{"tracking.folder": str(tmp_path / "runs")})
    assert not (tmp_path / "runs").exists()


def test_mistakes_in_the_sweep_itself_are_the_configs_mistakes(tiny, quiet):
    config = {**tiny, "sweep": {"point": {}, "axes": {"losses.l1.weight": 3.5}, "seeds": 0}}
    with pytest.raises(ConfigError) as caught:
        sweep(config, registry=quiet)
    assert [problem.path for problem in caught.value.problems] == [
        "sweep.axes.losses.l1.weight",
        "sweep.seeds",
        "sweep.point",
    ]


def test_a_sweep_trains_scores_and_shows(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "sweep.seeds": 2, "name": "s"}
    swept = sweep(tiny, ["losses.l1.weight=1,100"], **options)
    assert swept.complete
    assert [child.state for child in swept.children] == ["finished"] * 4
    table = swept.table()
    assert [row["label"] for row in table] == ["l1.weight=1", "l1.weight=100"]
    assert all(row["runs"] == 2 and row["l1_spread"] > 0 for row in table)
    mean = sum(child.metrics["l1"] for child in swept.children[:2]) / 2
    assert table[0]["l1"] == pytest.approx(mean)
    single = train(tiny, registry=quiet, **{"tracking.folder": str(tmp_path), "losses.l1.weight": 100})
    assert single.report.metrics["l1"] == swept.children[2].metrics["l1"]
    with Image.open(swept.sheet) as sheet:
        assert np.asarray(sheet).std() > 0
        assert sheet.size[0] >= 4 * 128  # source, target and two points


def test_a_failed_run_is_recorded_and_the_sweep_goes_on(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "schedule.epochs": 3}
    swept = sweep(tiny, ["optimizers.generator.lr=1.0e+30,1.0e-3"], **options)
    assert [child.state for child in swept.children] == ["failed", "finished"]
    assert "no longer a finite number" in swept.children[0].error
    assert [row["runs"] for row in swept.table()] == [0, 1]


def test_an_interrupted_sweep_goes_on_where_it_was(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "name": "s"}
    whole = sweep(tiny, ["losses.l1.weight=1,100"], **options)
    changed(whole, 1, state="waiting", metrics={}, folder="")
    before = (whole.folder / whole.children[0].folder / "run.yaml").stat().st_mtime_ns
    resumed = join_sweep(whole.folder, registry=quiet)
    assert resumed.children == whole.children
    assert (whole.folder / whole.children[0].folder / "run.yaml").stat().st_mtime_ns == before
    with pytest.raises(ModelError, match="no sweep to go on with"):
        join_sweep(tmp_path, registry=quiet)


def test_who_joins_may_not_change_what_is_compared(tiny, quiet, tmp_path):
    whole = sweep(tiny, ["losses.l1.weight=1,100"], registry=quiet, **{"tracking.folder": str(tmp_path / "runs")})
    for key in ("losses.l1.weight", "sweep.seeds"):
        with pytest.raises(ConfigError, match="is what the sweep compares"):
            join_sweep(whole.folder, registry=quiet, **{key: 3})
    assert join_sweep(whole.folder, registry=quiet, **{"engine.device": "cpu"}).complete


def test_what_failed_is_tried_again_on_demand(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs")}
    failed = sweep(tiny, ["optimizers.generator.lr=1.0e+30,1.0e-3"], **options, **{"schedule.epochs": 3})
    (bad, good) = failed.children
    assert (bad.state, good.state) == ("failed", "finished")
    work = changed(failed, 0, settings={"optimizers.generator.lr": 1e-4})  # as if its cause was mended
    work.finish(work.take(), [bad], [])
    assert join_sweep(failed.folder, registry=quiet).children[0].state == "failed"
    mended = join_sweep(failed.folder, again=True, registry=quiet)
    assert [child.state for child in mended.children] == ["finished", "finished"]
    assert mended.children[0].error == ""
    assert (mended.folder / mended.children[0].folder / "run.yaml").is_file()


def test_a_random_search_is_a_sweep_like_any_other(tiny, quiet, tmp_path):
    options = {"sweep.search": "random", "sweep.trials": 2, "tracking.folder": str(tmp_path / "runs")}
    swept = sweep(tiny, ["losses.l1.weight=1..300:log"], registry=quiet, **options)
    assert [child.state for child in swept.children] == ["finished"] * 2
    assert swept.best["label"] == min(swept.table(), key=lambda row: row["l1"])["label"]


def test_the_files_of_a_sweep(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "evaluate.every": 1}
    swept = sweep(tiny, ["losses.l1.weight=1,100"], **options)
    with (swept.folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["losses.l1.weight"]) for row in rows] == [("l1.weight=1", "1"), ("l1.weight=100", "100")]
    assert float(rows[1]["l1"]) == swept.children[1].metrics["l1"]
    plots = {file.stem for file in (swept.folder / "plots").glob("*.png")}
    assert plots == {"by-losses.l1.weight", "over-steps", "over-minutes"}
    assert "l1.weight=100" in (swept.folder / "page.html").read_text()


def test_a_metric_to_rank_by_must_be_there(tiny, quiet):
    with pytest.raises(ConfigError) as caught:
        sweep(tiny, ["losses.l1.weight=1,100"], registry=quiet, **{"sweep.by": "lpipz"})
    assert [(problem.path, problem.remedy) for problem in caught.value.problems] == [("sweep.by", "metrics: l1")]


def test_plugins_hear_of_the_sweep_and_of_its_runs(tiny, write_plugin, tmp_path):
    log = tmp_path / "log"
    plugin = write_plugin(f"""
        def note(*words):
            with open({str(log)!r}, "a") as file:
                print(*words, file=file)

        @p2pkit.hookimpl
        def p2pkit_run_started(run):
            weight = run.config["losses"]["l1"].get("weight")
            note(run.kind, run.config["tracking"]["tags"]["p2pkit.sweep"], weight)

        @p2pkit.hookimpl
        def p2pkit_scalars(run, step, scalars):
            if run.kind == "sweep":
                note("scalars", step, sorted(scalars))

        @p2pkit.hookimpl
        def p2pkit_summarised(run, facts, files):
            note("summarised", facts["best"], sorted(file.name for file in files))

        @p2pkit.hookimpl
        def p2pkit_run_ended(run, error):
            note("ended", run.kind, error)
    """)
    names = tmp_path / "registry.yaml"
    names.write_text("plugins: {block: [p2pkit.mlflow]}")
    registry = load_registry(names, plugin_files=[plugin], discover=False)
    options = {"registry": registry, "name": "s", "tracking.folder": str(tmp_path / "runs")}
    swept = sweep(tiny, ["losses.l1.weight=1,100"], **options)
    best = swept.best["label"]
    assert log.read_text().splitlines() == [
        "sweep s None",
        "training s 1.0",
        "ended training None",
        "scalars 1 ['best/l1', 'best/l1_spread', 'runs/failed']",
        "training s 100.0",
        "ended training None",
        "scalars 2 ['best/l1', 'best/l1_spread', 'runs/failed']",
        f"summarised {best} ['by-losses.l1.weight.png', 'page.html', 'sheet.png', 'table.csv']",
        "ended sweep None",
    ]
