"""Networks say by their arguments' names what they take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import ImageSpec, Made, PairSpec, VectorSpec
from p2pkit.extras.calling import answered, chosen, generated, lacking, moved_along, taken


class Plain(nn.Module):
    def forward(self, source):
        return source


class Asks(nn.Module):
    def forward(self, source, season, age=None, *, z, **rest):
        return Made(source + season, {"z": z})


class Judges(nn.Module):
    def forward(self, source, image, season):
        return source, image, season


class Named(nn.Module):
    takes = ("z",)

    def forward(self, source, **extras):
        return source * extras["z"]


@pytest.mark.parametrize(
    ("network", "images", "found"),
    [
        (Plain(), 1, {}),
        (Asks(), 1, {"season": True, "age": False, "z": True}),
        (Judges(), 2, {"season": True}),
        (Named(), 1, {"z": True}),
        (nn.Sequential(), 1, {}),
        (torch.relu, 1, {}),
        (lambda *images: images, 1, {}),
    ],
)
def test_what_a_network_takes(network, images, found):
    assert taken(network, images) == found


def test_only_what_is_taken_is_given():
    one = torch.ones(1)
    assert chosen(Asks(), {"age": one, "source": one, "other": one}) == {"age": one}
    assert chosen(Plain(), {"age": one}) == {}
    assert lacking(Asks(), {"season": one}) == ["z"]
    assert float(generated(Asks(), one, {"season": one, "z": one})) == 2
    assert float(generated(Named(), one, {"z": 3 * one})) == 3


def test_an_answer_may_be_a_fake_alone():
    fake = torch.ones(1, requires_grad=True)
    assert answered(fake).fake is fake
    made = Made(fake, {"z": fake})
    assert answered(made) is made
    assert not made.detach().extras["z"].requires_grad


def test_an_augmentation_is_given_all_images_where_it_takes_them():
    extras = {"z": VectorSpec(2, "noise"), "map": ImageSpec(1), "depth": ImageSpec(1)}
    images = PairSpec(ImageSpec(3), ImageSpec(3), 4, 4, extras=extras)
    assert moved_along(lambda source, target, *others: None, images) == ("source", "target", "depth", "map")
    assert moved_along(lambda source, target: None, images) == ("source", "target")
    assert moved_along(nn.Identity(), images) == ("source", "target")
