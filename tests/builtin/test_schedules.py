"""Schedules of the learning rate."""

from __future__ import annotations

import pytest

from p2pkit import RunLength
from p2pkit.builtin.schedules import constant, cosine, linear


def test_the_linear_schedule_is_the_references_in_whole_epochs():
    factor = linear(RunLength(200 * 7, 7, 100 * 7))
    reference = [1 - max(0, step // 7 + 1 - 100) / 101 for step in range(1400)]
    assert [factor(step) for step in range(1400)] == pytest.approx(reference)
    assert factor(1399) == pytest.approx(1 / 101)


def test_it_falls_step_by_step_where_a_run_counts_in_steps():
    factor = linear(RunLength(8, 1, 4))
    assert [factor(3), factor(4)] == [1, pytest.approx(0.8)]


def test_the_other_shapes():
    assert {constant()(step) for step in range(10)} == {1.0}
    found = list(map(cosine(RunLength(100)), range(100)))
    assert found == sorted(found, reverse=True)
    assert found[49] == pytest.approx(0.5, abs=0.01)
    assert 0 < found[-1] < 1e-3
