"""The rules that every component of p2pkit keeps; and each network in two and in three dimensions."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
from pathlib import Path

import p2pkit_monai
import pytest
import torch
from p2pkit_monai.phantoms import write_phantoms
from torch import nn

from p2pkit import ComponentError, ImageSpec, PairSpec
from p2pkit.testing import conformance

SMALL = {
    "monai_unet": {"channels": (4, 8, 8)},
    "monai_attention_unet": {"channels": (4, 8, 8)},
    "monai_unet_plus_plus": {"channels": (4, 4, 4, 4, 4, 4)},
    "monai_swin_unetr": {"width": 12, "blocks": (1, 1, 1, 1), "heads": (1, 1, 1, 1), "window": 2},
    "monai_dynunet": {"channels": (4, 8, 8)},
    "monai_patch": {"width": 4, "layers": 2},
    "monai_multiscale": {"width": 4, "layers": 1},
}

LONG = (*SMALL.keys() - {"monai_unet", "monai_patch"}, "monai_unet-compile", "monai_patch-compile")
"""Of both kinds one network keeps all rules in each run; further tests run the others, in two and three dimensions."""
_FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-monai-")
write_phantoms(Path(_FOLDER.name), 12, (12, 10, 8))

TestMonai = conformance(
    "monai",
    examples={
        **SMALL,
        "volume_slices": {"root": _FOLDER.name, "neighbours": 1, "target_window": "ct"},
        "volumes": {"root": _FOLDER.name, "target_window": [0, 400]},
    },
    long=LONG,
)

OFFERS = {offer.name: offer for offer in (*p2pkit_monai.p2pkit_generators(), *p2pkit_monai.p2pkit_discriminators())}
SLOW = ("monai_swin_unetr", 3)
GENERATORS = [offer.name for offer in p2pkit_monai.p2pkit_generators()]
DISCRIMINATORS = [offer.name for offer in p2pkit_monai.p2pkit_discriminators()]
CASES = [
    pytest.param(name, dims, marks=[pytest.mark.slow] if (name, dims) == SLOW else [])
    for name in GENERATORS
    for dims in (2, 3)
]


def spec(*size, source=2, target=1):
    return PairSpec(ImageSpec(source), ImageSpec(target), 1, 1).sized(size)


def build(name, images, **params):
    return OFFERS[name].build(images, {**SMALL[name], **params})


def noise(images, channels, count=1):
    return torch.rand(count, channels, *images.size) * 2 - 1


def sides(name, dims):
    least = {"monai_unet_plus_plus": 16, "monai_swin_unetr": 32}.get(name, 8)
    return *[least] * (dims - 1), 2 * least


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_size_range_and_gradients(name, dims):
    images = spec(*sides(name, dims), target=3)
    generator = build(name, images)
    fake = generator(noise(images, 2))
    assert fake.shape == (1, 3, *images.size)
    assert fake.abs().max() <= 1
    assert fake.std() > 0.01
    fake.square().mean().backward()
    assert [key for key, weight in generator.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(("name", "dims"), [("monai_unet", 2), ("monai_attention_unet", 2), ("monai_unet", 3)])
def test_sides_are_doubled_at_the_borders_as_elsewhere(name, dims):
    network = build(name, spec(*sides(name, dims)))
    layers = [each for each in network.modules() if isinstance(each, nn.ConvTranspose2d | nn.ConvTranspose3d)]
    assert layers
    for layer in layers:
        with torch.no_grad():
            made = layer(torch.ones(1, layer.in_channels, *[4] * dims))
        assert made.shape[2:] == (8,) * dims
        for dim in range(2, made.ndim):
            torch.testing.assert_close(made.select(dim, 7), made.select(dim, 5))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_verdicts_with_features(name, dims):
    images = spec(*[16] * dims)
    verdict = build(name, images)(noise(images, 2), noise(images, 1))
    assert all(logits.shape[:2] == (1, 1) and logits.ndim == 2 + dims for logits in verdict.logits)
    assert len(verdict.features) == len(verdict.logits) == (2 if name == "monai_multiscale" else 1)
    assert build(name, images, conditional=False)(noise(images, 2), noise(images, 1)).logits


@pytest.mark.parametrize("name", [*GENERATORS, *DISCRIMINATORS])
def test_sides_that_do_not_fit_are_refused_with_a_size_that_does(name):
    with pytest.raises(ComponentError) as raised:
        build(name, spec(9, 9, 5))
    assert "9 x 9 x 5" in raised.value.cause
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("name", "params", "parameter"),
    [
        ("monai_unet", {"strides": (2,)}, "strides"),
        ("monai_dynunet", {"strides": (2, 2, 2)}, "strides"),
        ("monai_attention_unet", {"channels": (1, 8)}, "channels"),
        ("monai_swin_unetr", {"heads": (5, 1, 1, 1)}, "heads"),
    ],
)
def test_parameters_that_do_not_fit(name, params, parameter):
    with pytest.raises(ComponentError) as raised:
        build(name, spec(64, 64), **params)
    assert raised.value.parameter == parameter


def test_counts_are_those_of_monais_own_networks():
    from monai.networks.nets import DynUNet, PatchDiscriminator, UNet

    def count(network):
        return sum(weight.numel() for weight in network.parameters())

    images = spec(64, 64, source=1)
    with torch.device("meta"):
        own = UNet(2, 1, 1, (16, 32, 64, 128, 256), (2,) * 4)
        assert count(OFFERS["monai_unet"].build(images, {})) == count(own)
        own = DynUNet(2, 1, 1, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, filters=(32, 64, 128, 256, 320))
        assert count(OFFERS["monai_dynunet"].build(images, {})) == count(own)
        own = PatchDiscriminator(2, 64, 2)
        assert count(OFFERS["monai_patch"].build(images, {})) == count(own)


def test_tied_weights_answer_the_same_once_they_are_loaded():
    images = spec(16, 16)
    first, second = build("monai_dynunet", images).eval(), build("monai_dynunet", images).eval()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    source = noise(images, 2)
    assert torch.equal(first(source), second(source))


@pytest.mark.slow  # a process of its own
def test_monai_is_imported_when_a_network_is_built():
    code = "import p2pkit_monai, sys; print(sorted({'monai', 'nibabel', 'pydicom', 'torchmetrics'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
