"""Extras as networks see them."""

from __future__ import annotations

import torch

from p2pkit import ImageSpec, PairSpec, VectorSpec
from p2pkit.extras.values import blank, draw, seen, some

EXTRAS = {"z": VectorSpec(4, "noise"), "age": VectorSpec(2), "season": VectorSpec(3, "class"), "map": ImageSpec(1)}
IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 4, 6, extras=EXTRAS)


def test_a_class_is_one_in_its_place():
    assert seen(torch.tensor([2, 0]), EXTRAS["season"]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert seen(torch.tensor([[1, 2]]), EXTRAS["age"]).dtype == torch.float32
    assert seen(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), EXTRAS["map"]).unique().tolist() == [1]


def test_noise_depends_on_its_place_alone():
    together = draw(IMAGES.drawn, [0, 1, 2])["z"]
    assert together.shape == (3, 4)
    assert torch.equal(together[1:2], draw(IMAGES.drawn, [1])["z"])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(draw({"w": EXTRAS["z"]}, [1])["w"], together[1:2])
    many = draw({"z": VectorSpec(1000, "noise")}, [0])["z"]
    assert abs(float(many.mean())) < 0.1
    assert abs(float(many.std()) - 1) < 0.1


def test_forms_without_values():
    shapes = {name: tuple(value.shape) for name, value in blank(IMAGES, 2).items()}
    assert shapes == {"age": (2, 2), "map": (2, 1, 4, 6), "season": (2, 3), "z": (2, 4)}
    dice = torch.Generator().manual_seed(0)
    assert {name: tuple(some(spec, IMAGES, 2, dice).shape) for name, spec in sorted(EXTRAS.items())} == shapes
    labels = some(ImageSpec(3, kind="labels"), IMAGES, 2, dice)
    assert (labels.sum(1) == -1).all()
