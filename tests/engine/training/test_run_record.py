"""What is recorded of a run before it begins."""

from __future__ import annotations

import importlib.metadata
import subprocess

import pytest
from PIL import Image

from p2pkit.engine.training import run_record
from p2pkit.engine.training.run_record import dataset_facts, versions


def test_data_is_known_by_name_count_and_fingerprint(checked):
    run = checked()
    facts = dataset_facts(run, {"train": 12, "val": 8})
    assert (facts.name, facts.root) == ("shapes", "")
    assert facts.counts == {"train": 12, "val": 8}
    assert facts.spec == run.spec
    assert facts.fingerprint == "-".join(map(run.dataset.fingerprint, ("train", "val")))
    assert dataset_facts(run, {"val": 8}).fingerprint == run.dataset.fingerprint("val")


def test_data_without_a_fingerprint_has_an_empty_one(checked, monkeypatch):
    run = checked()
    monkeypatch.delattr(type(run.dataset), "fingerprint")
    assert dataset_facts(run, {"val": 8}).fingerprint == ""


def test_a_folder_of_data_is_told(checked, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for index in range(4):
            Image.new("RGB", (32, 16), (index, 0, 0)).save(tmp_path / split / f"{index}.png")
    run = checked(dataset={"use": "side_by_side", "params": {"root": str(tmp_path), "size": 16}})
    assert dataset_facts(run, {"train": 4}).root == str(tmp_path)


def test_versions_are_those_that_are_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = versions()
    assert found["torch"] == importlib.metadata.version("torch")
    assert {"p2pkit", "torchvision", "kornia", "torchmetrics", "mlflow"} <= set(found)


def test_the_commit_is_that_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert versions()["git"] == head[:12]


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 5)])
def test_no_git_is_no_error(monkeypatch, error):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(run_record.subprocess, "run", run)
    assert "git" not in versions()
