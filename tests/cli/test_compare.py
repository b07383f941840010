"""The command that shows runs side by side."""

from __future__ import annotations

import json
import shutil


def alter(folder, file, old, new):
    path = next(folder.glob(file))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_compare(p2pkit, tiny, tmp_path):
    p2pkit("train", tiny, "-s", "losses.l1.weight=7", "-s", "tracking.name=w1", "-q")
    for name in ("w100", "other"):
        shutil.copytree("runs/w1", f"runs/{name}")
        alter(tmp_path / "runs" / name, "run.yaml", "weight: 7.0", "weight: 100.0")
    files = ["--html", "out.html", "--sheet", "sheet.png", "--plots", "plots"]
    shown = p2pkit("compare", "w1", "w100", *files)
    assert shown.code == 0, shown.err
    assert "| l1.weight | runs |" in shown.out
    assert "size 16x16, resize not stated, batch_norm running, dropout off" in shown.out
    assert (tmp_path / "out.html").stat().st_size > 10_000
    assert {path.name for path in tmp_path.glob("plots/*")} >= {"by-losses.l1.weight.png", "over-steps.png"}
    data = json.loads(p2pkit("compare", "--experiment", "p2pkit", "--json").out)
    assert [point["settings"] for point in data["points"]] == [{"losses.l1.weight": 7}, {"losses.l1.weight": 100}]

    alter(tmp_path / "runs" / "other", "samples/step-00000002.json", '"running"', '"batch"')
    refused = p2pkit("compare", "w1", "other")
    assert refused.code == 2
    assert "batch_norm is running (w1), batch (other)" in refused.err
    assert "--by-protocol" in refused.err
    apart = p2pkit("compare", "w1", "other", "--by-protocol")
    assert "l1 batch_norm=running ↓" in apart.out


def test_compare_wants_runs_or_an_experiment(p2pkit):
    assert p2pkit("compare").code == 2
    assert p2pkit("compare", "a", "--experiment", "b").code == 2
    gone = p2pkit("compare", "a", "b")
    assert gone.code == 2
    assert gone.err.startswith("2 errors:")
