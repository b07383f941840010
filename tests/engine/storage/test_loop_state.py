"""What a run remembers, and what an older checkpoint knows of it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from p2pkit.engine.storage.loop_state import LoopState, Progress


def test_a_state_goes_through_json_and_back():
    state = LoopState(3, 40, "l1", 0.25, 20, 2, 1)
    held = json.loads(json.dumps({"memory": dataclasses.asdict(state)}))
    assert LoopState.of(held) == state


@pytest.mark.parametrize("held", [{}, {"memory": {}}, {"position": {"step": 3}}])
def test_a_checkpoint_that_remembers_nothing_is_a_beginning(held):
    assert LoopState.of(held) == LoopState()
    assert LoopState().evaluated == -1  # not step 0, which may have been evaluated


def test_what_is_unknown_is_left_out_and_what_is_missing_begins():
    found = LoopState.of({"memory": {"rollbacks": 2, "of_another_version": 5}})
    assert found == LoopState(rollbacks=2)


def test_progress_is_a_place_and_does_not_move():
    assert Progress() == Progress(0, 0, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Progress().step = 1
