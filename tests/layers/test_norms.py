"""Norms by name, and which convolutions have biases."""

from __future__ import annotations

import pytest
from torch import nn

from p2pkit.layers import needs_bias, normalise


@pytest.mark.parametrize(
    ("norm", "kind"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d), ("group", nn.GroupNorm)]
)
def test_a_norm_by_its_name(norm, kind):
    (layer,) = normalise(norm, 48)
    assert type(layer) is kind
    assert bool(list(layer.parameters())) == (norm != "instance")


def test_none_is_no_layer():
    assert normalise("none", 8) == ()


def test_instance_norm_has_weights_where_they_are_asked_for():
    (layer,) = normalise("instance", 8, affine=True)
    assert sum(p.numel() for p in layer.parameters()) == 16


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 16), (5, 1), (32, 32)])
def test_group_norm_has_up_to_32_groups(channels, groups):
    (layer,) = normalise("group", channels)
    assert layer.num_groups == groups


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_a_convolution_has_a_bias_where_the_norm_after_it_brings_none(norm, affine):
    brings = any(name == "bias" for layer in normalise(norm, 8, affine=affine) for name, _ in layer.named_parameters())
    assert needs_bias(norm, affine=affine) is not brings


@pytest.mark.parametrize("said", [True, False])
def test_what_the_user_says_counts(said):
    assert [needs_bias(norm, said) for norm in ("batch", "none")] == [said, said]
