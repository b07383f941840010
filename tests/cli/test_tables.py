"""How results look on a terminal."""

from __future__ import annotations

from math import inf

from p2pkit import Report
from p2pkit.cli.tables import print_report


def test_a_gain_that_can_not_be_said_is_left_blank(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    baselines = {"source": {"l1": 0.4, "psnr": inf}, "mean": {"l1": 0.6, "psnr": 10.0}}
    print_report(Report("val", 8, {"l1": 0.3, "psnr": 20.0}, baselines, {"l1": False, "psnr": True}))
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "↑" in line or "↓" in line}
    assert "+25.0%" in lines["l1"]
    assert "inf" in lines["psnr"]
    assert "%" not in lines["psnr"]
    assert "nan" not in lines["psnr"]
