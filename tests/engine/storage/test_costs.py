from __future__ import annotations

import pytest

from p2pkit.engine.storage.costs import ENERGY, PARAMETERS, SPEED, cost, load_costs, load_processes, save_costs


def test_what_is_written_is_read(tmp_path):
    save_costs(tmp_path, 54_413_955, 2.5)
    assert load_costs(tmp_path) == {PARAMETERS: 54_413_955, SPEED: 2.5}


def test_a_speed_that_nobody_measured_is_left_out(tmp_path):
    save_costs(tmp_path, 54_413_955, 2.5)
    save_costs(tmp_path, 54_413_955, None)  # as one does that goes on where all was done
    assert load_costs(tmp_path) == {PARAMETERS: 54_413_955, SPEED: 2.5}
    (tmp_path / "costs.json").unlink()
    save_costs(tmp_path, 7, None)
    assert load_costs(tmp_path) == {PARAMETERS: 7}


def test_what_one_training_took_is_not_mixed_with_what_an_earlier_one_did(tmp_path):
    assert load_processes(tmp_path) == 1
    save_costs(tmp_path, 7, 2.5, 40.0, processes=4)
    assert load_costs(tmp_path) == {PARAMETERS: 7, SPEED: 2.5, ENERGY: 40}
    save_costs(tmp_path, 7, None, processes=2)
    assert (load_costs(tmp_path)[ENERGY], load_processes(tmp_path)) == (40, 4)
    save_costs(tmp_path, 7, 1.5, processes=2)
    assert (load_costs(tmp_path), load_processes(tmp_path)) == ({PARAMETERS: 7, SPEED: 1.5}, 2)


@pytest.mark.parametrize("text", [None, "", "[1]", '{"parameters": "many"}'])
def test_a_folder_without_them_costs_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / "costs.json").write_text(text)
    assert load_costs(tmp_path) == {}


def test_people_read_them():
    assert [cost(PARAMETERS, 54_413_955), cost(SPEED, 2.512), cost(SPEED, 1234.5)] == ["54,413,955", "2.51", "1,234"]
