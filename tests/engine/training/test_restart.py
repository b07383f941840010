"""A command that is started again goes on with its run: here, or on a machine that has nothing of it."""

from __future__ import annotations

import shutil

import pytest
import yaml

import p2pkit
from p2pkit.engine.training.restart import refuse_to_begin_anew


@pytest.fixture
def command(tiny, quiet, tmp_path, monkeypatch):
    """Start the same command once more, with changed keys."""
    monkeypatch.chdir(tmp_path)
    own = {**tiny, "tracking": {"name": "first"}, "evaluate": {"every": 0, "metrics": ["l1"], "samples": 2}}

    def start(go_on=True, **changes):
        return p2pkit.train(own, registry=quiet, go_on=go_on, **changes)

    return start


def test_it_begins_and_then_goes_on(command, tmp_path):
    begun = command(**{"schedule.steps": 2, "schedule.epochs": None})
    assert (begun.step, begun.folder.name) == (2, "first")
    again = command()
    assert (again.step, again.folder) == (6, begun.folder)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["first"]
    assert yaml.safe_load((again.checkpoint / "run.yaml").read_text())["schedule"]["epochs"] == 2  # as it says now


def test_without_being_asked_to_it_begins_another_run(command):
    names = [command(go_on=False, **{"schedule.steps": 1, "schedule.epochs": None}).folder.name for _ in range(2)]
    assert names == ["first", "first-2"]


def test_an_attempt_that_has_left_no_checkpoint_is_begun_again(command, tmp_path):
    left = tmp_path / "runs" / "first" / "samples"
    left.mkdir(parents=True)
    (left / "step-00000007.json").write_text("{}")
    run = command(**{"schedule.steps": 1, "schedule.epochs": None})
    assert (run.step, run.folder.name) == (1, "first")
    assert (run.folder / "abandoned" / "samples" / "step-00000007.json").is_file()


def test_what_can_not_go_on_is_told(command):
    with pytest.raises(p2pkit.ConfigError, match=r"tracking\.name: is what a run is found by"):
        command(**{"tracking.name": None})
    command(**{"schedule.steps": 1, "schedule.epochs": None})
    with pytest.raises(p2pkit.ConfigError, match="generator"):
        command(generator="unet_64")


def test_torchruns_restarts_begin_no_run_anew(placed, monkeypatch):
    refuse_to_begin_anew()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    with pytest.raises(p2pkit.P2pkitError, match="a new run would begin at step 0") as refused:
        refuse_to_begin_anew()
    assert "--go-on" in str(refused.value)


def test_a_machine_that_has_nothing_of_it_goes_on_from_where_it_was_sent(command, quiet, tmp_path):
    there = {"checkpoint.mirror": "memory://bucket/runs"}
    begun = command(**there, **{"schedule.steps": 2, "schedule.epochs": None})
    shutil.rmtree(tmp_path / "runs")
    again = command(**there, **{"schedule.steps": 4, "schedule.epochs": None})
    assert (again.step, again.folder) == (4, begun.folder)
    shutil.rmtree(tmp_path / "runs")
    last = p2pkit.resume("memory://bucket/runs/first", registry=quiet, **{"schedule.steps": 5})
    assert (last.step, last.folder) == (5, begun.folder)
    shutil.rmtree(tmp_path / "runs")
    other = command(go_on=False, **there, **{"schedule.steps": 1, "schedule.epochs": None})
    assert other.folder.name == "first-2"  # the name is taken there
    with pytest.raises(p2pkit.ModelError, match="memory://bucket/runs has no checkpoint of a run 'third'"):
        p2pkit.resume("memory://bucket/runs/third", registry=quiet)
