"""What the nouns work out of themselves."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch

import p2pkit
from p2pkit import Report
from p2pkit.types import ParameterCount


@pytest.mark.parametrize(
    ("value", "source", "mean", "higher", "gain"),
    [
        (0.3, 0.6, 0.4, False, 0.25),
        (0.5, 0.6, 0.4, False, -0.25),
        (15.0, 10.0, 5.0, True, 0.5),
        (0.3, -0.2, -0.5, True, 2.5),
        (0.3, 0.6, 0.4, None, None),
        (0.3, 0.0, 0.4, False, None),
        (0.5, 0.0, -0.2, True, None),
        (20.0, inf, 10.0, True, None),
        (0.3, inf, 0.4, False, 0.25),
        (0.3, inf, inf, False, None),
        (15.0, nan, 10.0, True, 0.5),
        (15.0, 10.0, nan, True, 0.5),
        (15.0, nan, nan, True, None),
        (inf, 10.0, 5.0, True, None),
        (nan, 10.0, 5.0, True, None),
    ],
)
def test_gains_are_over_the_better_baseline(value, source, mean, higher, gain):
    """And are left out where no share can be said."""
    report = Report("val", 8, {"m": value}, {"source": {"m": source}, "mean": {"m": mean}}, {"m": higher})
    assert report.gains == ({} if gain is None else {"m": pytest.approx(gain)})


def test_each_value_of_a_metric_has_a_gain_of_its_own():
    """Baselines may lack a metric: they have no several fakes."""
    scores = {"fcn/iou": 0.6, "fcn/accuracy": 0.9, "diversity": 0.1}
    baselines = {"source": {"fcn/iou": 0.4, "fcn/accuracy": 0.0}}
    report = Report("val", 8, scores, baselines, dict.fromkeys(scores, True))
    assert report.gains == {"fcn/iou": pytest.approx(0.5)}


def test_a_size_says_how_much_is_trained_where_that_is_not_all():
    assert str(ParameterCount(1234, 1234)) == "1,234 parameters"
    assert str(ParameterCount(1234, 1000)) == "1,234 parameters, 1,000 of them trainable"


def test_pairs_are_made_when_they_are_asked_for():
    class Numbers(p2pkit.LazyPairs):
        def __len__(self):
            return 3

        def pair(self, index):
            made.append(index)
            return p2pkit.Pair(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), str(index))

    made: list[int] = []
    pairs = Numbers()
    assert (pairs[-1].name, [pair.name for pair in pairs[1:]], made) == ("2", ["1", "2"], [2, 1, 2])
    with pytest.raises(IndexError):
        pairs[3]
    assert [pair.name for pair in pairs] == ["0", "1", "2"]


def test_a_split_that_is_not_there_is_said_with_those_that_are():
    assert p2pkit.split_of({"train": 1, "val": 2}, "val") == 2
    with pytest.raises(p2pkit.DataError, match=r"(?s)no split 'test'.*it has train, val"):
        p2pkit.split_of({"train": 1, "val": 2}, "test")
