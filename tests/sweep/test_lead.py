"""A sweep whose runs are trained by an executor's workers comes to what one process would come to."""

from __future__ import annotations

import pytest

from p2pkit import ConfigError, DeviceError, ModelError, P2pkitError
from p2pkit.api import train
from p2pkit.sweep import lead, sweep
from p2pkit.sweep.work import work_on

HERE = {"executor.use": "local", "executor.params.processes": 1}


def test_workers_train_as_one_process_would(tiny, quiet, tmp_path, capsys):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "name": "s"}
    swept = sweep(tiny, ["losses.l1.weight=1,100"], progress=True, **options, **HERE)
    assert swept.complete
    assert [child.state for child in swept.children] == ["finished"] * 2
    assert swept.sheet.is_file()
    said = capsys.readouterr().out
    assert "worker 1 [1/2] l1.weight=1 seed=0" in said
    single = train(tiny, registry=quiet, **{"tracking.folder": str(tmp_path), "losses.l1.weight": 100})
    assert single.report.metrics["l1"] == swept.children[1].metrics["l1"]


def test_workers_that_fail_leave_an_unfinished_sweep_with_their_sentence(tiny, quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(lead, "CALL", "p2pkit.testing.works:crash")
    with pytest.raises(P2pkitError, match="worker 1: TypeError"):
        sweep(tiny, ["losses.l1.weight=1,100"], registry=quiet, **{"tracking.folder": str(tmp_path / "runs")}, **HERE)


def test_a_sweep_that_workers_can_t_reach(tmp_path):
    with pytest.raises(ModelError, match="can't be reached from where its work runs"):
        work_on(print, sweep=str(tmp_path), storage=None, registry={}, name="w", beside=1, overrides={})


def test_what_the_executor_has_not_is_told_before_there_is_a_folder(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs"), "engine.device": "auto"}
    with pytest.raises(DeviceError, match=r"executor\.gpus: asks for 64, and this machine has"):
        sweep(tiny, ["losses.l1.weight=1,100"], **options, **HERE, **{"executor.gpus": 64})
    assert not (tmp_path / "runs").exists()


def test_an_unknown_executor_is_found_before_anything_is_trained(tiny, quiet, tmp_path):
    options = {"registry": quiet, "tracking.folder": str(tmp_path / "runs")}
    with pytest.raises(ConfigError, match=r"executor.use: no executor is called 'locl'"):
        sweep(tiny, ["losses.l1.weight=1,100"], **options, **{"executor.use": "locl"})
    with pytest.raises(ConfigError, match=r"executor.params.processes: .*, got 0"):
        sweep(tiny, ["losses.l1.weight=1,100"], **options, **{"executor.params.processes": 0})
    with pytest.raises(ConfigError, match="executor: is for the runs of a sweep"):
        train(tiny, **options, executor="local")
