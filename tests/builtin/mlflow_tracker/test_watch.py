"""When the machine's own figures are written down."""

from __future__ import annotations

import json
from pathlib import Path

from p2pkit.builtin.mlflow_tracker.journal import Journal
from p2pkit.builtin.mlflow_tracker.watch import SystemWatch


def written(journal: Journal) -> list[str]:
    lines = journal.path.read_text().splitlines() if journal.path.is_file() else []
    return [key for line in lines for key in json.loads(line).get("metrics", {})]


def test_nothing_comes_before_the_first_score(tmp_path: Path) -> None:
    journal = Journal.of(tmp_path, "a" * 32)
    watch = SystemWatch(journal, journal.past(), "sqlite:///nowhere.db")
    watch.publish_metrics({"cpu": 1.0})
    assert written(journal) == []
    journal.append({"metrics": {"val/l1": 0.1}, "step": 0, "time": 1})
    watch.publish_metrics({"cpu": 2.0})
    watch.publish_metrics({"cpu": 3.0})
    assert written(journal) == ["val/l1", *["system/cpu"] * 3]


def test_a_run_without_scores_keeps_its_figures(tmp_path: Path) -> None:
    journal = Journal.of(tmp_path, "a" * 32)
    watch = SystemWatch(journal, journal.past(), "sqlite:///nowhere.db")
    watch.publish_metrics({"cpu": 1.0})
    watch.start()
    watch.finish()
    assert "system/cpu" in written(journal)
