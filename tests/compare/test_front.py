"""Points weighed by two values against each other."""

from __future__ import annotations

import numpy as np
from PIL import Image

from p2pkit.compare import draw_front, pareto_front

POINTS = {
    "slow and good": (0.1, 2.0),
    "fast": (0.5, 9.0),
    "beaten": (0.5, 3.0),
    "worst": (0.9, 1.0),
    "middle": (0.3, 4.0),
}


def test_the_front_is_what_nothing_beats_in_both():
    assert pareto_front(POINTS, (False, True)) == ["fast", "middle", "slow and good"]
    assert pareto_front(POINTS, (True, False)) == ["worst"]
    assert pareto_front({"a": (1.0, 1.0), "b": (1.0, 1.0)}, (True, True)) == ["a", "b"]


def test_it_is_drawn(tmp_path):
    draw_front(POINTS, {"lpips": False, "images/s": True}, tmp_path / "front.png")
    with Image.open(tmp_path / "front.png") as picture:
        assert np.asarray(picture).std() > 0
