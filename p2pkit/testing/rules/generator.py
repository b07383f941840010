"""Rules for generators."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from p2pkit.errors import first_line
from p2pkit.extras.calling import answered
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.rules.networks import network
from p2pkit.testing.subject import Subject
from p2pkit.types import PairSpec, optional


@rule("generator")
def shape(subject: Subject) -> None:
    """A fake has the target's channels and size, for every form of images."""
    for images in subject.specs:
        built = network(subject, images).eval()
        source, target = subject.batch(images)
        with torch.no_grad():
            try:
                made = answered(built(source))
            except RuntimeError as error:
                remedy = "take channels and sides from `images`, or raise p2pkit.ComponentError where they can't be"
                cause = first_line(error)
                raise AssertionError(f"{_of(images)} it fails ({cause}): {remedy}.") from error
        fake = made.fake
        sentence = f"{_of(images)} it returns {type(fake).__name__}, where a tensor is wanted."
        require(isinstance(fake, Tensor), sentence)
        sentence = f"{_of(images)} its fakes are {tuple(fake.shape)}, where {tuple(target.shape)} is wanted"
        require(fake.shape == target.shape, f"{sentence}: take channels and sides from `images`.")


@rule("generator")
def uses_source(subject: Subject) -> None:
    """Its fakes depend on the source."""
    built = network(subject).eval()
    source, _ = subject.batch()
    with torch.no_grad():
        torch.manual_seed(0)
        fake = answered(built(source)).fake
        torch.manual_seed(0)
        other = answered(built(source.flip(0))).fake
    require(not torch.equal(fake, other), "Other sources get the same fakes: let them depend on the source.")


@rule("generator")
def range_(subject: Subject) -> None:
    """A fake is in [-1, 1], whatever the weights are."""
    built = network(subject).eval()
    source, _ = subject.batch()
    with torch.no_grad():
        for factor in (1, 10):
            for parameter in built.parameters():
                parameter.mul_(factor)
            fake = answered(built(source)).fake
            if factor == 1:
                require(fake.isfinite().all(), "Its first fakes are not finite: look at the initial weights.")
            reached = float(fake[fake.isfinite()].abs().max()) if fake.isfinite().any() else 0.0
            require(reached <= 1 + 1e-4, f"Its fakes reach {reached:.3g}: end with tanh, or something else in [-1, 1].")


@rule("generator")
def multiple(subject: Subject) -> None:
    """It takes images of other sizes, in multiples of its attribute `multiple` (1 where it has none)."""
    images = subject.images
    built = network(subject, images).eval()
    step = optional.multiple(built)
    with torch.no_grad():
        source, target = subject.batch(images, count=1)
        if answered(built(source)).fake.shape != target.shape:
            raise Skip("its fakes have another size anyway, see the rule `shape`")
    height, width = images.height + step, images.width + 3 * step
    source, target = subject.batch(replace(images, height=height, width=width), count=1)
    sentence = f"Built for {images.height} x {images.width} with `multiple = {step}`, it can't do {height} x {width}"
    try:
        with torch.no_grad():
            fits = answered(built(source)).fake.shape == target.shape
    except (RuntimeError, ValueError, AssertionError):
        fits = False
    require(fits, f"{sentence}: state in an attribute `multiple` what sides have to be multiples of.")


def _of(images: PairSpec) -> str:
    source, target = images.source, images.target
    labels = " of labels" if source.kind == "labels" else ""
    channels = f"{source.channels}{labels} -> {target.channels} channels"
    return f"For {channels} at {images.height} x {images.width}"
