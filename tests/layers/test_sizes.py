"""Sizes: how often images can be halved, and what is said of those that can't."""

from __future__ import annotations

import pytest

from p2pkit import ComponentError, ImageSpec, PairSpec
from p2pkit.layers import check_depth, check_sides, halvings, nearest_size, widths


def images(height: int, width: int) -> PairSpec:
    return PairSpec(ImageSpec(3), ImageSpec(3), height, width)


def test_levels_double_up_to_a_limit():
    assert widths(16, 5, 100) == [16, 32, 64, 100, 100]


@pytest.mark.parametrize(("height", "width", "often"), [(256, 256, 8), (96, 64, 5), (33, 64, 0), (12, 20, 2)])
def test_how_often_both_sides_can_be_halved(height, width, often):
    assert halvings(images(height, width)) == often


def test_the_nearest_size_that_fits():
    assert nearest_size(images(30, 100), 32) == "32 x 96"
    assert nearest_size(images(3, 9), 4, least=8) == "8 x 8"


def test_sides_that_fit_pass():
    check_sides(images(8, 12), "it", 4, least=8)
    check_depth(images(64, 32), 5)


def test_what_is_said_of_sides_that_do_not_fit():
    with pytest.raises(ComponentError, match="it needs sides that are multiples of 4, the images are 8 x 9") as told:
        check_sides(images(8, 9), "it", 4)
    assert told.value.remedy == "resize the images, for instance to 8 x 8"
    with pytest.raises(ComponentError, match="multiples of 4 and at least 8, the images are 4 x 8") as told:
        check_sides(images(4, 8), "it", 4, least=8, parameter="halvings", instead="halve less")
    assert told.value.remedy == "resize the images, for instance to 8 x 8, or halve less"
    assert told.value.parameter == "halvings"


def test_a_depth_that_does_not_fit_names_one_that_does():
    with pytest.raises(ComponentError, match="depth 6 needs sides that are multiples of 64") as told:
        check_depth(images(96, 96), 6, {5: "unet_32"})
    assert told.value.remedy == "use depth 5 or less (unet_32), or resize the images, for instance to 128 x 128"
    assert told.value.parameter == "depth"
