"""Runs and reports that are damaged or half written are left out by name."""

from __future__ import annotations

import pytest

from p2pkit import ModelError
from p2pkit.compare import compare, runs_of_experiment
from p2pkit.compare.records import read_record


@pytest.fixture
def noted():
    return []


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"report": 3, "names": []}', '{"report": {"metrics": []}}'])
def test_a_report_that_is_half_written_is_left_out(made, noted, text):
    folder = made("first", l1=0.5)
    file = folder / "samples" / "step-00000010.json"
    file.write_text(text)
    record = read_record(folder, noted.append)
    assert [scored.step for scored in record.history] == [0]
    assert [problem.path for problem in noted] == [str(file)]


@pytest.mark.parametrize("text", ["", "{", "[]", "a: b", "engine: {seed: 1}", "tracking: 3", "\0"])
def test_a_run_whose_config_is_damaged_is_left_out(made, noted, text):
    sound, broken = made("first", l1=0.5), made("second", l1=0.5)
    (broken / "run.yaml").write_text(text)
    compared = compare([sound, broken], note=noted.append)
    assert [run.folder for run in compared.runs] == [sound]
    assert str(broken) in noted[0].path


def test_a_run_that_is_gone_is_left_out(made, noted, tmp_path):
    compared = compare([made("first", l1=0.5), tmp_path / "gone"], note=noted.append)
    assert len(compared.runs) == 1
    assert "gone" in str(noted[0])


def test_where_all_are_damaged_there_is_nothing_to_compare(made):
    folder = made("first", l1=0.5)
    (folder / "run.yaml").write_text("[")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ModelError, match="none of these runs"):
        compare([folder])


def test_an_experiment_is_found_though_another_run_is_damaged(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made("first", l1=0.5)
    (made("second", l1=0.5) / "run.yaml").write_text("[")
    with pytest.warns(UserWarning, match="second"):
        folders, _ = runs_of_experiment("weights")
    assert [folder.name for folder in folders] == ["first"]
