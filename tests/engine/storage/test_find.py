from __future__ import annotations

import shutil
from dataclasses import asdict

import pytest

from p2pkit import ImageSpec, ModelError, PairSpec
from p2pkit.engine.storage import find
from p2pkit.engine.storage.find import find_checkpoint, find_run, new_folder
from p2pkit.engine.storage.state import write_state

IMAGES = asdict(PairSpec(ImageSpec(3), ImageSpec(3), 8, 8))
STATE = {"format": 1, "position": {"step": 10, "epoch": 1, "batches": 0}, "images": IMAGES}


@pytest.fixture
def runs(tmp_path):
    for name in ("facades-1", "facades-2"):
        (tmp_path / name / "checkpoints" / "step-00000010").mkdir(parents=True)
        (tmp_path / name / "run.yaml").write_text("{}")
        write_state(tmp_path / name / "checkpoints" / "step-00000010", STATE)
    (tmp_path / "facades-2" / "mlflow.id").write_text("0123abc\n")
    return tmp_path


def test_by_name_folder_and_trackers_id(runs):
    assert find_run("facades-1", runs) == runs / "facades-1"
    assert find_run(runs / "facades-1", runs) == runs / "facades-1"
    assert find_run("0123abc", runs) == runs / "facades-2"


def test_checkpoint_by_run_or_itself(runs):
    checkpoint = runs / "facades-1" / "checkpoints" / "step-00000010"
    assert find_checkpoint("facades-1", runs) == checkpoint
    assert find_checkpoint(checkpoint, runs) == checkpoint


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 3000, "\0", "\udc80", "~", ""])
def test_a_name_that_no_system_takes_is_no_run(runs, name):
    with pytest.raises(ModelError, match="there is no run or checkpoint") as caught:
        find_checkpoint(name, runs)
    assert len(str(caught.value)) < 300


def test_unknown_run_offers_near_names(runs):
    with pytest.raises(ModelError, match=r"no run or checkpoint 'facade-2'(.|\n)*facades-2"):
        find_run("facade-2", runs)
    with pytest.raises(ModelError, match="there are no runs in"):
        find_run("x", runs / "nowhere")


def test_run_without_checkpoint(runs):
    shutil.rmtree(runs / "facades-1" / "checkpoints" / "step-00000010")
    with pytest.raises(ModelError, match="has no checkpoint yet"):
        find_checkpoint("facades-1", runs)


def test_folders_are_never_reused(tmp_path):
    assert new_folder(tmp_path, "a", "x") == tmp_path / "a"
    assert new_folder(tmp_path, "a", "x") == tmp_path / "a-2"
    assert new_folder(tmp_path, None, "facades").name.startswith("facades-20")


def test_a_shipped_model_is_found_where_nothing_of_the_users_has_its_name(runs, monkeypatch):
    monkeypatch.setattr(find, "SHIPPED", runs / "shipped")
    (runs / "shipped" / "demo").mkdir(parents=True)
    (runs / "shipped" / "demo" / "run.yaml").write_text("{}")
    write_state(runs / "shipped" / "demo", STATE)
    monkeypatch.chdir(runs)
    assert find.shipped_models() == ["demo"]
    assert find_checkpoint("demo", runs) == runs / "shipped" / "demo"
    (runs / "demo").mkdir()  # a folder without a model is none
    assert find_checkpoint("demo", runs / "runs") == runs / "shipped" / "demo"
    (runs / "demo" / "run.yaml").write_text("{}")
    write_state(runs / "demo", STATE)
    assert find_checkpoint("demo", runs / "runs").resolve() == runs / "demo"
    shutil.copytree(runs / "facades-1", runs / "runs" / "other")
    shutil.copytree(runs / "facades-1", runs / "runs" / "demo")
    shutil.rmtree(runs / "demo")
    assert find_checkpoint("demo", runs / "runs") == runs / "runs" / "demo" / "checkpoints" / "step-00000010"
