"""What 8 bits lose."""

from __future__ import annotations

import pytest

from p2pkit import ModelError, Report
from p2pkit.exporting.scores import Scores

WAYS = {"l1": False, "psnr": True, "share": None}


def scores(**after):
    before = {"l1": 0.2, "psnr": 20.0, "share": 0.5}
    reports = (Report("val", 8, metrics, higher_is_better=WAYS) for metrics in (before, {**before, **after}))
    return Scores(*reports, (4_000_000, 1_000_000), (8.0, 2.0))


def test_a_metric_loses_in_its_own_direction():
    found = scores(l1=0.21, psnr=19.0, share=0.1)
    assert found.loss("l1") == pytest.approx(0.05)
    assert found.loss("psnr") == pytest.approx(0.05)
    assert found.loss("share") == 0
    assert scores(l1=0.1).loss("l1") == pytest.approx(-0.5)


@pytest.mark.parametrize(("after", "text"), [({"l1": 0.22}, "l1 by 10.0%"), ({"psnr": float("nan")}, "psnr by nan%")])
def test_more_than_is_given_away_is_refused_by_name(after, text):
    scores(l1=0.209, psnr=19.5, share=9.0).require()
    with pytest.raises(ModelError, match=rf"worse on 8 pairs of val: {text}; 5% is taken(?s:.)*--force"):
        scores(**after).require()


def test_rows_say_scores_bytes_and_time():
    rows = [*scores(l1=0.21).rows()]
    assert rows[0] == ("l1 ↓", "0.2", "0.21", "+5.00%")
    assert rows[-2:] == [
        ("file", "4 MB", "1 MB", "-75%"),
        ("processor time an image", "8 ms", "2 ms", "-75%"),
    ]
