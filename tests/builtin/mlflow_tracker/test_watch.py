"""What is measured of the machine, and when it is written down."""

from __future__ import annotations

import json
import platform
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from p2pkit.builtin.mlflow_tracker.journal import Journal
from p2pkit.builtin.mlflow_tracker.watch import SystemWatch


def test_nvidias_library_is_a_dependency_on_linux():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (Requirement(line) for line in project["dependencies"] if line.startswith("nvidia-ml-py"))
    assert wanted.marker.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
    assert not wanted.marker.evaluate({"sys_platform": "darwin", "platform_machine": "arm64"})


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="is for Linux on x86-64")
def test_a_gpu_is_among_what_is_measured(monkeypatch, tmp_path):
    import pynvml

    memory = SimpleNamespace(used=3_000_000, total=12_000_000)
    found = {
        "nvmlInit": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "a GPU",
        "nvmlDeviceGetMemoryInfo": memory,
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=40),
        "nvmlDeviceGetPowerUsage": 200_000,
        "nvmlDeviceGetEnforcedPowerLimit": 400_000,
    }
    for name, answer in found.items():
        monkeypatch.setattr(pynvml, name, lambda *args, answer=answer: answer)
    watch = SystemWatch(SimpleNamespace(run_id="1"), SimpleNamespace(steps={}), f"sqlite:///{tmp_path}/nowhere.db")
    watch.collect_metrics()
    values = watch.aggregate_metrics()
    assert values["gpu_0_memory_usage_megabytes"] == 3
    assert values["gpu_0_utilization_percentage"] == 40


def written(journal: Journal) -> list[str]:
    lines = journal.path.read_text().splitlines() if journal.path.is_file() else []
    return [key for line in lines for key in json.loads(line).get("metrics", {})]


def test_nothing_comes_before_the_first_score(tmp_path: Path) -> None:
    journal = Journal.of(tmp_path, "a" * 32)
    watch = SystemWatch(journal, journal.past(), f"sqlite:///{tmp_path}/nowhere.db")
    watch.publish_metrics({"cpu": 1.0})
    assert written(journal) == []
    journal.append({"metrics": {"val/l1": 0.1}, "step": 0, "time": 1})
    watch.publish_metrics({"cpu": 2.0})
    watch.publish_metrics({"cpu": 3.0})
    assert written(journal) == ["val/l1", *["system/cpu"] * 3]


def test_a_run_without_scores_keeps_its_figures(tmp_path: Path) -> None:
    journal = Journal.of(tmp_path, "a" * 32)
    watch = SystemWatch(journal, journal.past(), f"sqlite:///{tmp_path}/nowhere.db")
    watch.publish_metrics({"cpu": 1.0})
    watch.start()
    watch.finish()
    assert "system/cpu" in written(journal)
