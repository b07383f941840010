"""The table of a run's numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from p2pkit.builtin.csv_tracker import CsvTracker
from p2pkit.testing import given


def test_a_run_that_goes_on_replaces_what_it_measures_anew(tmp_path: Path) -> None:
    run = given.run(folder=tmp_path)
    tracker = CsvTracker(run)
    for step in (1, 2, 3):
        tracker.scalars(step, {"train/generator/l1": step / 10})
    tracker.evaluated(3, given.report(), given.samples(tmp_path))
    again = CsvTracker(replace(run, resumed=True))
    again.evaluated(2, given.report(), given.samples(tmp_path))
    again.scalars(3, {"train/generator/l1": 0.5})
    assert (tmp_path / "scalars.csv").read_text().splitlines() == [
        "step,name,value",
        "1,train/generator/l1,0.1",
        "2,train/generator/l1,0.2",
        "2,val/l1,0.25",
        "2,val/psnr,12.5",
        "3,train/generator/l1,0.5",
    ]
    again.went_back(1)
    assert (tmp_path / "scalars.csv").read_text().splitlines() == ["step,name,value", "1,train/generator/l1,0.1"]
