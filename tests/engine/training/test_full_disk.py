"""Disks that are full or can only be read: a training goes on, nothing half written stays, and no traceback is seen."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from p2pkit import StorageError, TrainingError, atomic_files
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.storage.layout import checkpoints
from p2pkit.engine.training import component_errors
from p2pkit.engine.training.component_errors import attribute_errors
from p2pkit.engine.training.session import RunSession
from p2pkit.sharding import shard

EVERY = {"evaluate.every": 1, "checkpoint.every": 1, "schedule.epochs": 4}


@pytest.fixture
def told_work(checked, quiet, tmp_path, told):
    def make(**overrides):
        (tmp_path / "run").mkdir(exist_ok=True)
        return RunSession(checked(**overrides), quiet.plugins, tmp_path / "run", told)

    return make


@pytest.fixture
def refuses(monkeypatch):
    """Let the disk be full wherever a file's name has something in it: `refuses("checkpoints")`; "" ends it."""
    real, state = atomic_files._sync, {"what": ""}

    def sync(path):
        if state["what"] and state["what"] in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path)

    monkeypatch.setattr(atomic_files, "_sync", sync)
    return lambda what: state.update(what=what)


def empty_files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.stat().st_size and path.name != ".lock"]


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith((".partial", ".trash"))]


def test_a_training_goes_on_without_its_checkpoint_and_tries_again(told_work, refuses, tmp_path):
    def on_step(loop):
        refuses("run/" if loop.status.progress.step < 6 else "")

    work = told_work(**EVERY)
    outcome = work.train(on_step=on_step)
    assert [path.name for path in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000009", "step-00000012"]
    assert outcome.checkpoint.name == "step-00000012"
    assert any(
        "checkpoints/step-00000003: can't be written: no space left on device" in said for said in work.reporter.said
    )
    assert any("samples/step-00000003" in said for said in work.reporter.said)
    assert not leftovers(tmp_path / "run")
    assert not empty_files(tmp_path / "run")


def test_what_is_owed_is_written_after_the_next_epoch(told_work, refuses, tmp_path):
    seen = []

    def on_step(loop):
        step = loop.status.progress.step
        refuses("checkpoints" if step < 6 else "")
        seen.append([path.name for path in checkpoints(tmp_path / "run" / "checkpoints")])

    told_work(**{**EVERY, "checkpoint.every": 3}).train(on_step=on_step)  # due after the first epoch and the fourth
    assert seen[6] == []
    assert seen[9] == ["step-00000009"]


def test_a_training_that_is_told_to_stop_stops(told_work, refuses, tmp_path):
    work = told_work(**EVERY, **{"checkpoint.on_error": "stop"})
    with pytest.raises(StorageError) as failed:
        work.train(on_step=lambda loop: refuses("checkpoints"))
    assert failed.value.problems[0].path == str(tmp_path / "run" / "checkpoints" / "step-00000003")


@pytest.mark.parametrize("on_error", ["continue", "stop"])
def test_the_last_checkpoint_must_be_written(told_work, refuses, tmp_path, on_error):
    work = told_work(**{"schedule.epochs": 1, "checkpoint.every": 0, "checkpoint.on_error": on_error})
    with pytest.raises(StorageError, match="no space left") as failed:
        work.train(on_step=lambda loop: refuses("checkpoints"))
    assert failed.value.problems[0].path == str(tmp_path / "run" / "checkpoints" / "step-00000003")
    assert "make room" in failed.value.problems[0].remedy


def test_the_best_checkpoint_may_fail_too(told_work, refuses, tmp_path):
    work = told_work(**EVERY, **{"checkpoint.best": "l1"})
    outcome = work.train(on_step=lambda loop: refuses("run/best" if loop.status.progress.step < 3 else ""))
    assert any("run/best/step-00000003" in said for said in work.reporter.said)
    assert outcome.checkpoint.name == "step-00000012"


def test_room_is_looked_at_before_anything_is_written(told_work, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError, match=r"it takes \d\.\d MB, and 0\.0 MB are free"):
        told_work(**{"schedule.epochs": 1}).train()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_run_goes_on_from_the_last_checkpoint_that_was_written(told_work, refuses, tmp_path):
    def on_step(loop):
        if loop.status.progress.step >= 3:
            refuses("checkpoints")

    with pytest.raises(StorageError):
        told_work(**EVERY).train(on_step=on_step)
    refuses("")
    (saved,) = checkpoints(tmp_path / "run" / "checkpoints")
    assert told_work(**EVERY).train(saved).progress.step == 12


def test_a_failing_component_is_told_though_its_traceback_can_t_be_kept(checked, refuses, monkeypatch, tmp_path):
    plan = checked().plan
    monkeypatch.setattr(component_errors, "components_in_traceback", lambda error, plan: [plan.generator])
    refuses("error.txt")
    with pytest.raises(TrainingError, match="ValueError: oops") as failed, attribute_errors(plan, tmp_path):
        raise ValueError("oops")
    assert failed.value.problems[0].remedy == "its traceback can't be written: no space left on device"
    assert not (tmp_path / "error.txt").exists()


def test_shards_on_a_full_disk(small_disk, quiet, tiny):
    small_disk.fill(leave=100_000)
    with pytest.raises(StorageError, match="no space left"):
        shard(tiny, small_disk.path / "shards", registry=quiet, encoding="raw", **{"dataset.params.size": 128})
    assert [path.name for path in small_disk.path.iterdir()] == ["filler"]


def test_a_cache_file_takes_its_room_first(small_disk, checked, monkeypatch):
    """A mapped file on a full disk would end the process without a word when it is written to."""
    monkeypatch.setattr("tempfile.tempdir", str(small_disk.path))
    data = checked(**{"dataset.params.size": 512, "generator": "unet_64"}).dataset
    with pytest.raises(StorageError, match="no space left"):
        load_split(data.pairs("train"), cache="disk")
