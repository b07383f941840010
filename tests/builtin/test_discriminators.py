"""Discriminators: the reference's numbers, what a verdict sees, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pkit import ComponentError
from p2pkit.builtin.discriminators.multiscale import MultiscaleDiscriminator
from p2pkit.builtin.discriminators.patch import PatchDiscriminator
from p2pkit.builtin.discriminators.patch_blog import PatchBlogDiscriminator

KINDS = [PatchDiscriminator, PatchBlogDiscriminator, MultiscaleDiscriminator]


def pair(side, source=3, target=3, batch=1):
    return torch.randn(batch, source, side, side), torch.randn(batch, target, side, side)


def seen_by_a_verdict(network, side):
    """Measure what one logit in the middle of the map depends on, as rows and columns of the image."""
    source, image = (x.double() for x in pair(side))
    logits = network.double().eval()(source, image.requires_grad_()).logits[0]
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    seen = image.grad[0].abs().sum(0) > 0
    rows, columns = (torch.where(seen.any(axis))[0] for axis in (1, 0))
    assert 0 < rows[0] < rows[-1] + 1 < side  # not cut off by the border
    return (rows[-1] - rows[0] + 1).item(), (columns[-1] - columns[0] + 1).item()


@pytest.mark.parametrize(
    ("layers", "batch", "instance"),
    [
        (0, 9_024, 8_897),
        (1, 139_585, None),
        (2, 666_433, None),
        (3, 2_768_705, 2_767_809),
        (4, 6_964_033, None),
        (5, 11_159_361, None),
        (6, 15_354_689, None),
    ],
)
def test_parameter_counts_are_the_references(spec, parameter_count, layers, batch, instance):
    assert parameter_count(PatchDiscriminator, spec(256), layers=layers) == batch
    if instance:
        assert parameter_count(PatchDiscriminator, spec(256), layers=layers, norm="instance") == instance


@pytest.mark.parametrize(
    ("layers", "field", "side"),
    [(0, 1, 256), (1, 16, 126), (2, 34, 62), (3, 70, 30), (4, 142, 14), (5, 286, 6), (6, 574, 2)],
)
def test_receptive_fields_and_verdicts(spec, layers, field, side):
    network = PatchDiscriminator(spec(256), layers=layers, width=1, norm="none", init_std=0.2)
    assert network(*pair(256)).logits[0].shape == (1, 1, side, side)
    assert seen_by_a_verdict(network, 2 * field + 200) == (field, field)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_patch_computes_what_the_reference_computes(spec, reference, norm):
    network = PatchDiscriminator(spec(256), width=4, norm=norm).eval()
    both, logits = reference(f"patchgan70_ndf4_{norm}", network)
    torch.testing.assert_close(network(both[:, :3], both[:, 3:]).logits[0], logits, atol=1e-5, rtol=1e-5)


def test_pixel_computes_what_the_reference_computes(spec, reference):
    network = PatchDiscriminator(spec(64), layers=0, width=4).eval()
    both, logits = reference("pixelgan_ndf4_batch", network)
    torch.testing.assert_close(network(both[:, :3], both[:, 3:]).logits[0], logits, atol=1e-5, rtol=1e-5)


def test_patch_state_has_the_references_names(spec):
    state = PatchDiscriminator(spec(256), width=4, norm="instance").state_dict()
    assert list(state) == [f"model.{n}.{part}" for n in (0, 2, 5, 8, 11) for part in ("weight", "bias")]


def test_features_are_the_activations_on_the_way(spec):
    network = PatchDiscriminator(spec(64), width=4)
    source, image = pair(64)
    verdict = network(source, image)
    (features,) = verdict.features
    assert [tuple(f.shape[1:]) for f in features] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 7, 7)]
    torch.testing.assert_close(features[0], network.model[:2](torch.cat([source, image], 1)))
    torch.testing.assert_close(verdict.logits[0], network.model[-1](features[-1]))


def test_unconditional_ignores_the_source(spec):
    source, image = pair(32, source=5)
    other, _ = pair(32, source=5)
    for conditional in (True, False):
        network = PatchDiscriminator(spec(32, source=5), layers=1, width=4, conditional=conditional).eval()
        same = torch.equal(network(source, image).logits[0], network(other, image).logits[0])
        assert same != conditional
        assert network.model[0].in_channels == (8 if conditional else 3)


def test_spectral_norm_keeps_the_largest_singular_value_at_one(spec):
    network = PatchDiscriminator(spec(32), layers=2, width=8, norm="none", spectral_norm=True)
    for _ in range(50):  # each forward is a step of the power iteration
        network(*pair(32))
    kernels = [m.weight.flatten(1) for m in network.model if isinstance(m, nn.Conv2d)]
    assert len(kernels) == 4
    for kernel in kernels:
        assert torch.linalg.matrix_norm(kernel, 2).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("side", "layers", "fitting"), [(64, 5, 4), (16, 3, 2), (4, 1, 0)])
def test_more_layers_than_the_images_allow(spec, side, layers, fitting):
    with pytest.raises(ComponentError) as raised:
        PatchDiscriminator(spec(side, 256), layers=layers)
    assert raised.value.cause == f"{layers} layers leave no verdict of images of {side} x 256"
    assert raised.value.remedy == (f"use {fitting} layers or fewer, or images with sides of at least {3 * 2**layers}")
    assert raised.value.parameter == "layers"
    fits = PatchDiscriminator(spec(side, 256), layers=fitting, width=4, norm="instance")
    assert fits(torch.randn(1, 3, side, 256), torch.randn(1, 3, side, 256)).logits[0].numel() > 0
    enough = 3 * 2**layers
    assert PatchDiscriminator(spec(enough), layers=layers, width=4)(*pair(enough)).logits[0].shape[2:] == (1, 1)


def test_patch_blog_is_as_listed(spec):
    with torch.device("meta"):
        network = PatchBlogDiscriminator(spec(256))
        logits = network(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256)).logits[0]
    counts = {name: p.numel() for name, p in network.named_parameters()}
    names = [f"model.{n}.{part}" for n in (0, 2, 5, 8) for part in ("weight", "bias")]
    assert list(counts) == [*names, "model.12.weight"]
    layers = [counts[f"model.{n}.weight"] + counts.get(f"model.{n}.bias", 0) for n in (0, 2, 5, 8, 12)]
    assert layers == [6_208, 131_200, 524_544, 2_097_664, 8_192]
    assert sum(counts.values()) == 2_767_808
    assert logits.shape == (1, 1, 16, 16)


def test_patch_blog_sees_94_pixels(spec):
    network = PatchBlogDiscriminator(spec(256), width=2, init_std=0.2)
    network.model = nn.Sequential(*(m for m in network.model if not isinstance(m, nn.InstanceNorm2d)))
    assert seen_by_a_verdict(network, 320) == (94, 94)


def test_patch_blog_takes_the_image_first(spec):
    network = PatchBlogDiscriminator(spec(32, source=1, target=3), width=2)
    source, image = pair(32, source=1)
    torch.testing.assert_close(network(source, image).logits[0], network.model(torch.cat([image, source], 1)))


def test_patch_blog_refuses_images_it_would_halve_to_one_pixel(spec):
    with pytest.raises(ComponentError, match="those of 16 x 16 are too small") as raised:
        PatchBlogDiscriminator(spec(16))
    assert "sides of at least 32" in raised.value.remedy
    assert PatchBlogDiscriminator(spec(16, 32), width=2)(*(torch.randn(2, 1, 3, 16, 32))).logits[0].shape[2:] == (1, 2)


def test_multiscale_judges_averaged_copies(spec):
    network = MultiscaleDiscriminator(spec(64), scales=3, layers=1, width=4).eval()
    source, image = pair(64)
    verdict = network(source, image)
    assert [tuple(m.shape[2:]) for m in verdict.logits] == [(30, 30), (14, 14), (6, 6)]
    assert [len(f) for f in verdict.features] == [2, 2, 2]
    half = [nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False) for x in (source, image)]
    torch.testing.assert_close(verdict.logits[1], network.scales[1](*half).logits[0])
    flat = network.pool(torch.ones(1, 3, 9, 9))
    torch.testing.assert_close(flat, torch.ones(1, 3, 5, 5))


def test_multiscale_with_more_scales_than_the_images_allow(spec):
    with pytest.raises(ComponentError) as raised:
        MultiscaleDiscriminator(spec(64), scales=4, layers=3)
    assert raised.value.cause == "at scale 3, 3 layers leave no verdict of images of 16 x 16"
    assert raised.value.remedy == "use 2 scales or fewer, fewer layers, or larger images"
    assert raised.value.parameter == "scales"
    with pytest.raises(ComponentError, match="6 layers leave no verdict") as raised:
        MultiscaleDiscriminator(spec(64), layers=6)
    assert raised.value.parameter == "layers"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "target"), [(3, 3), (1, 3), (5, 2)])
def test_gradient_reaches_all_parameters_and_the_image(spec, kind, source, target):
    network = kind(spec(96, source=source, target=target), width=4, init_std=0.1)
    sources, images = pair(96, source, target, batch=2)
    sum(logits.square().mean() for logits in network(sources, images.requires_grad_()).logits).backward()
    assert images.grad.abs().max() > 0
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad.abs().max() > 0 for name, p in network.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("layers", [0, 3])
def test_initial_weights(spec, check_weights, layers):
    check_weights(PatchDiscriminator(spec(64), layers=layers, width=64 if layers == 0 else 16))


def test_initial_weights_of_the_others(spec, check_weights):
    check_weights(MultiscaleDiscriminator(spec(64), scales=2, width=16))
    blog = PatchBlogDiscriminator(spec(64), width=16)
    check_weights(blog, zero_biases=False)
    assert all(p.abs().max() > 0 for name, p in blog.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("kind", KINDS)
def test_builds_and_runs_on_the_meta_device(spec, kind):
    with torch.device("meta"):
        verdict = kind(spec(256))(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256))
    assert all(logits.shape[:2] == (1, 1) for logits in verdict.logits)


@pytest.mark.parametrize(
    ("kind", "params"),
    [(PatchDiscriminator, {"spectral_norm": True}), (PatchBlogDiscriminator, {}), (MultiscaleDiscriminator, {})],
)
def test_compiles_in_one_graph(spec, kind, params):
    network = kind(spec(96), width=4, **params).eval()
    images = pair(96)
    compiled = torch.compile(network, fullgraph=True, backend="eager")(*images)
    for ours, theirs in zip(compiled.logits, network(*images).logits, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_spectral_norm_works_under_autocast(spec):
    network = PatchDiscriminator(spec(32), layers=1, width=4, spectral_norm=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(*pair(32)).logits[0]
    logits.float().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
