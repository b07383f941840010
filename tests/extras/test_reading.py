"""Extras that a user gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from p2pkit import ImageSpec, VectorSpec
from p2pkit.extras.reading import described, read_image_beside, read_vector

SEASON, AGE = VectorSpec(2, "class", ("winter", "summer")), VectorSpec(2)


@pytest.mark.parametrize(
    ("value", "spec", "vector"),
    [
        ("summer", SEASON, [0, 1]),
        (1, SEASON, [0, 1]),
        (torch.tensor(0), SEASON, [1, 0]),
        ("2", VectorSpec(3, "class"), [0, 0, 1]),
        ("0.5, 1", AGE, [0.5, 1]),
        ("0.5 1", AGE, [0.5, 1]),
        ([0.5, 1], AGE, [0.5, 1]),
        (torch.tensor([0.5, 1]), AGE, [0.5, 1]),
        (0.5, VectorSpec(1, "noise"), [0.5]),
    ],
)
def test_values(value, spec, vector):
    assert read_vector(value, spec).tolist() == vector


@pytest.mark.parametrize(
    ("value", "spec", "cause"),
    [
        ("autumn", SEASON, "'autumn' is no class: one of winter, summer"),
        (2, SEASON, "'2' is no class"),
        ("9", VectorSpec(3, "class"), "a class from 0 to 2"),
        ("a b", AGE, "no list of numbers"),
        ("1", AGE, "'1' is not 2 numbers"),
        ("nan 1", AGE, "is not 2 numbers"),
    ],
)
def test_wrong_values(value, spec, cause):
    with pytest.raises(ValueError, match=cause):
        read_vector(value, spec)


def test_an_image_gets_the_size_of_its_source(tmp_path):
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "map.png")
    for given in (str(tmp_path / "map.png"), np.full((4, 4), 255, np.uint8)):
        image = read_image_beside(given, ImageSpec(1), (6, 8))
        assert image.shape == (1, 6, 8)
        assert image.unique().tolist() == [1]
    with pytest.raises(OSError, match="No such file"):
        read_image_beside(str(tmp_path / "none.png"), ImageSpec(1), (6, 8))


def test_in_words():
    assert described(ImageSpec(1)) == "an image of 1 channels"
    assert described(ImageSpec(4, kind="labels")) == "a label map of 4 classes"
    assert described(VectorSpec(8, "noise")) == "8 numbers, drawn by the seed where none are given"
