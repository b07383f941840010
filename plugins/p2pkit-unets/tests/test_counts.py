"""Parameter counts: the papers' where they can be had, else what the layers add up to by hand."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

MILLION = 1_000_000


def convolution(inputs, outputs, kernel=3, bias=False):
    return inputs * outputs * kernel**2 + (outputs if bias else 0)


def normed(inputs, outputs, kernel=3):
    """A convolution without bias and the weight and bias of its norm."""
    return convolution(inputs, outputs, kernel) + 2 * outputs


def node(inputs, outputs):
    return normed(inputs, outputs) + normed(outputs, outputs)


def encoder(source, levels):
    return sum(node(inputs, outputs) for inputs, outputs in pairwise([source, *levels]))


def millions(number):
    return round(number / MILLION, 2)


# UNet++


def test_unet_plus_plus_has_the_authors_count(count):
    """The paper's table 3 has 9.04 M; the authors' code, 9,041,601, for grey images, one class and no norm."""
    number = count("unet_plus_plus", source=1, target=1, norm="none")
    assert number == 9_041_601
    assert millions(number) == 9.04


def test_unet_plus_plus_by_hand(count):
    levels = [32, 64, 128, 256, 512]
    by_hand = encoder(3, levels) + convolution(32, 3, 1, bias=True)
    for column in range(1, 5):
        for level in range(5 - column):
            own, below = levels[level : level + 2]
            by_hand += convolution(below, own, 2, bias=True) + node((column + 1) * own, own)
    assert count("unet_plus_plus") == by_hand == 9_045_891


# UNet 3+


def test_unet_3_plus_has_the_papers_count(count):
    """The paper's table 1 has 26.97 M; its code also has biases before the norms, which change nothing."""
    number = count("unet_3_plus", target=1)
    biases = 2 * (64 + 128 + 256 + 512 + 1024) + 4 * 2 * 320
    assert millions(number) == millions(number + biases) == 26.97


def test_unet_3_plus_by_hand(count):
    levels = [64, 128, 256, 512, 1024]
    by_hand = encoder(3, levels) + convolution(320, 3, 3, bias=True)
    for level in range(4):
        seen = [*levels[: level + 1], *[320] * (3 - level), 1024]
        by_hand += sum(normed(channels, 64) for channels in seen) + normed(320, 320)
    assert count("unet_3_plus") == by_hand == 26_971_011


# ResUNet


def test_residual_units_convolutions_have_the_papers_count(build):
    """The paper has 7.8 M: the fifteen convolutions of its table I, without norms and without shortcuts."""
    with torch.device("meta"):
        net = build("residual_unet", 256, target=1)
    layers = [layer for unit in (*net.encoder, *net.decoder) for layer in unit.change if isinstance(layer, nn.Conv2d)]
    layers.append(net.last[0])
    assert len(layers) == 15
    assert sum(layer.weight.numel() for layer in layers) == 7_780_096
    assert round(7_780_096 / MILLION, 1) == 7.8


def test_residual_unet_by_hand(count):
    channels = [3, 64, 128, 256, 512, 256, 128, 64]
    inputs = [3, 64, 128, 256, 512 + 256, 256 + 128, 128 + 64]
    units = list(zip(inputs, channels[1:], strict=True))
    convolutions = sum(convolution(i, o) + convolution(o, o) for i, o in units)
    shortcuts = sum(convolution(i, o, 1) for i, o in units)
    norms = sum(2 * (i + o) for i, o in units) - 2 * 3  # none before the first convolution
    by_hand = convolutions + shortcuts + norms + convolution(64, 3, 1, bias=True)
    assert count("residual_unet") == by_hand == 8_216_899


# Attention U-Net


def test_attention_unet_without_gates_has_the_papers_count(build):
    """The paper's U-Net for volumes has 5.88 M: widths 16 to 256, four halvings, no weights in its enlargements.

    Its convolutions are 3 x 3 x 3 and have no counterpart here but the same with 27 weights instead of 9.
    """
    with torch.device("meta"):
        net = build("attention_unet", 256, source=1, target=1, width=16)
    kernels = [p for part in (net.encoder, net.decoder) for p in part.parameters() if p.ndim == 4]
    assert {tuple(kernel.shape[2:]) for kernel in kernels} == {(3, 3)}
    assert not list(net.doublings.parameters())
    assert millions(sum(kernel.numel() * 3 for kernel in kernels)) == 5.88


def test_attention_unet_by_hand(count):
    """The paper's gates add 0.52 M to its 5.88 M; it does not say how wide they are, so theirs can't be counted."""
    levels = [64, 128, 256, 512, 1024]
    by_hand = encoder(3, levels) + convolution(64, 3, 1, bias=True)
    for own, below in pairwise(levels):
        by_hand += node(own + below, own)
        if own > 64:
            gate = convolution(own, own, 1) + convolution(below, own, 1, bias=True) + convolution(own, 1, 1, bias=True)
            by_hand += gate
    assert count("attention_unet") == by_hand == 32_418_950


def test_interpolations_have_no_weights(count, name):
    assert count(name, upsampling="nearest") == count(name, upsampling="bilinear")


def test_transposed_doublings_take_the_place_of_wider_joints(count):
    """They bring the level below to a level's own channels, so the convolution behind them has fewer inputs."""
    levels = [64, 128, 256, 512, 1024]
    saved = sum((below - own) * own * 9 - convolution(below, own, 2, bias=True) for own, below in pairwise(levels))
    assert count("attention_unet") - count("attention_unet", upsampling="transposed") == saved
