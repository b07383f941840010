"""What Accept means."""

from __future__ import annotations

import pytest

from p2pkit.serving.kinds import NPY, wanted_kind
from p2pkit.serving.problems import Refused
from p2pkit.types import ImageSpec


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/*;q=0.5, image/webp", "image/webp"),
        ("image/webp;q=0.1, image/tiff;q=0.9", "image/tiff"),
        ("text/html, application/*", NPY),
    ],
)
def test_the_best_that_is_accepted(accept, kind):
    assert wanted_kind(accept, ImageSpec(3), picture=False)[0] == kind


@pytest.mark.parametrize("accept", ["text/html", "image/gif", "image/png;q=nonsense"])
def test_nothing_that_can_be_sent(accept):
    with pytest.raises(Refused):
        wanted_kind(accept, ImageSpec(3), picture=False)


def test_floats_go_into_files_that_hold_them():
    floats = ImageSpec(1, low=-1000, high=3000)
    assert wanted_kind("", floats, picture=False)[1] == ".tif"
    assert wanted_kind("", floats, picture=True)[1] == ".png"
