"""Fixtures of the four networks' tests."""

from __future__ import annotations

import pytest
import torch

import p2pkit_unets
from p2pkit import ImageSpec, PairSpec

COMPONENTS = {component.name: component for component in p2pkit_unets.p2pkit_generators()}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=COMPONENTS)
def name(request):
    return request.param


@pytest.fixture
def build():
    def make(name, *size, source=3, target=3, **params):
        height, *across = size or (32,)
        images = PairSpec(ImageSpec(source), ImageSpec(target), height, *(across or [height]))
        return COMPONENTS[name].build(images, params)

    return make


@pytest.fixture
def count(build):
    """Count a network's parameters at 256 x 256 without making room for them."""

    def number(name, **params):
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build(name, 256, **params).parameters())

    return number
