"""Rules for discriminators."""

from __future__ import annotations

import torch
from torch import Tensor

from p2pkit.testing.rule import require, rule
from p2pkit.testing.rules.networks import network
from p2pkit.testing.subject import Subject
from p2pkit.types import Verdict, optional
from p2pkit.untyped import Json


@rule("discriminator")
def verdict(subject: Subject) -> None:
    """It returns a Verdict: for each scale a map of logits (B, 1, h, w) and, if any, the features on the way."""
    for images in subject.specs:
        source, image = subject.batch(images)
        with torch.no_grad():
            said = network(subject, images)(source, image)
        require(isinstance(said, Verdict), f"It returns {type(said).__name__}: return a p2pkit.Verdict.")
        require(isinstance(said.logits, tuple) and said.logits, "Give logits as a tuple, one map for each scale.")
        for logits in said.logits:
            form = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            fits = isinstance(logits, Tensor) and logits.dim() == 4 and logits.shape[:2] == (len(source), 1)
            require(fits and logits.numel(), f"A map of logits is {form}, where (B, 1, h, w) with B = 2 is wanted.")
        scales = len(said.features)
        sentence = f"There are features of {scales} scales and logits of {len(said.logits)}: give a tuple for each"
        require(scales in (0, len(said.logits)), f"{sentence} scale, or no features at all.")
        tensors = (feature for scale in said.features for feature in scale)
        wrong = any(not isinstance(scale, tuple) for scale in said.features)
        sentence = "Give the features of each scale as a tuple of tensors, whose first dimension is the batch."
        require(not wrong and all(isinstance(f, Tensor) and len(f) == len(source) for f in tensors), sentence)


@rule("discriminator")
def gradient_to_image(subject: Subject) -> None:
    """The gradient of every map of logits reaches the image, from which the generator learns."""
    source, image = subject.batch()
    image.requires_grad_()
    said = network(subject)(source, image)
    for number, logits in enumerate(said.logits, 1):
        sentence = f"No gradient leads from the logits of scale {number} to the image: don't detach, round or compare."
        require(logits.requires_grad, sentence)
        (gradient,) = torch.autograd.grad(logits.sum(), image, retain_graph=True, allow_unused=True)
        require(gradient is not None and gradient.abs().max() > 0, sentence)
        require(gradient.isfinite().all(), f"The gradient from scale {number} to the image is not finite.")


@rule("discriminator")
def features(subject: Subject) -> None:
    """Its features carry gradients, from which feature matching learns."""
    source, image = subject.batch()
    for number, scale in enumerate(network(subject)(source, image).features, 1):
        detached = sum(not feature.requires_grad for feature in scale)
        require(not detached, f"Of the features of scale {number} {detached} are detached: return them as they are.")


@rule("discriminator")
def unbounded(subject: Subject) -> None:
    """Its logits are any real value, and not probabilities."""
    built = network(subject).eval()
    with torch.no_grad():
        for weight in built.parameters():
            weight.mul_(10)
        logits = torch.cat([scale.flatten() for scale in built(*subject.batch()).logits])
    low, high = float(logits.min()), float(logits.max())
    sentence = f"Whatever its weights are, its logits lie in [{low:.2g}, {high:.2g}]: leave out the sigmoid or tanh"
    require(low < -1.001 or high > 1.001 or low == high, f"{sentence}, since the losses expect logits.")


@rule("discriminator")
def conditional(subject: Subject) -> None:
    """Its verdict depends on the source, and without the parameter `conditional` set it does not."""
    if "conditional" in subject.component.parameters.model_fields:
        require(_sees_source(subject, conditional=True), "With `conditional: true` its verdict has to see the source.")
        sentence = "With `conditional: false` its verdict still changes with the source: judge the image alone."
        require(not _sees_source(subject, conditional=False), sentence)
    else:
        stated = optional.conditional(network(subject))
        sentence = "Its verdict does not depend on the source: judge both, or state `conditional = False`."
        require(_sees_source(subject) or not stated, sentence)


def _sees_source(subject: Subject, **params: Json) -> bool:
    built = subject.build(**params).eval()
    source, image = subject.batch()
    with torch.no_grad():
        first, second = built(source, image), built(-source, image)
    return any(not torch.equal(a, b) for a, b in zip(first.logits, second.logits, strict=True))
