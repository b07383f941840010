"""What stands before and behind a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit.layers import IMAGENET_MEAN, IMAGENET_STD, ClassPlanes, Standardise, activation


def test_the_mean_becomes_zero_and_the_deviation_one():
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    standardise = Standardise()
    torch.testing.assert_close(standardise(2 * mean - 1), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(standardise(2 * (mean + std) - 1), torch.ones(1, 3, 1, 1))


def test_other_statistics_and_no_weights():
    standardise = Standardise((0.5,), (0.5,))
    image = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(standardise(2 * image - 1), 2 * image - 1)
    assert not standardise.state_dict()


def test_class_planes_are_shares_in_the_range_of_images():
    planes = ClassPlanes()(torch.randn(2, 5, 4, 4))
    torch.testing.assert_close(((planes + 1) / 2).sum(1), torch.ones(2, 4, 4))


@pytest.mark.parametrize(("final", "kind"), [("tanh", nn.Tanh), ("linear", nn.Identity), ("softmax", ClassPlanes)])
def test_last_layers_by_name(final, kind):
    assert type(activation(final)) is kind
