"""Rules for metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject

COUNT = 4


def score(subject: Subject, *batches: tuple[Tensor, Tensor]) -> float:
    """Return a new metric's value of these batches."""
    metric = subject.build()
    for fake, target in batches:
        metric.update(fake, target)
    return float(metric.compute())


def _target(subject: Subject) -> Tensor:
    return subject.batch(count=COUNT)[1]


def _other(subject: Subject) -> Tensor:
    """Return fakes that are wrong in the first images more than in the last."""
    noise = subject.batch(count=COUNT, seed=9)[1]
    shares = torch.linspace(1, 0.2, COUNT, device=noise.device).view(-1, 1, 1, 1)
    return torch.lerp(_target(subject), noise, shares)


@rule("metric")
def interface(subject: Subject) -> None:
    """It is a torchmetrics Metric that says whether higher is better."""
    from torchmetrics import Metric

    metric = subject.build()
    require(isinstance(metric, Metric), f"Return a torchmetrics.Metric, not a {type(metric).__name__}.")
    stated = getattr(metric, "higher_is_better", None)
    require(isinstance(stated, bool), "State `higher_is_better`, True or False; without it no sweep can rank by it.")


@rule("metric")
def best_on_identical(subject: Subject) -> None:
    """Fakes that equal their targets have the best value, and it is a number."""
    target, other = _target(subject), _other(subject)
    best, worse = score(subject, (target, target)), score(subject, (other, target))
    require(not math.isnan(best), "It is not a number for fakes that equal their targets.")
    sentence = f"Fakes that equal their targets have {best:.4g}, others {worse:.4g}"
    require(_better(subject, best, worse), f"{sentence}: turn `higher_is_better`, or the value's sign.")


@rule("metric")
def worse_on_opposite(subject: Subject) -> None:
    """Fakes that are their targets' opposites, dark for light, are worse than those with a little noise."""
    target = _target(subject).sign()
    near = torch.lerp(target, subject.batch(count=COUNT, seed=9)[1], 0.2)
    opposite, noisy = score(subject, (-target, target)), score(subject, (near, target))
    sentence = f"Opposite images have {opposite:.4g}, those with a little noise {noisy:.4g}"
    require(_better(subject, noisy, opposite), f"{sentence}: compare images by their signed values.")


def _better(subject: Subject, one: float, other: float) -> bool:
    higher = getattr(subject.build(), "higher_is_better", None)
    if higher is None:
        raise Skip("it does not say whether higher is better")
    return one > other if higher else one < other


@rule("metric")
def batches(subject: Subject) -> None:
    """Its value does not depend on how images are split into batches."""
    target, fake = _target(subject), _other(subject)
    whole = score(subject, (fake, target))
    split = score(subject, (fake[:1], target[:1]), (fake[1:], target[1:]))
    sentence = f"All images at once have {whole:.6g}, the same in batches of 1 and {COUNT - 1} {split:.6g}"
    require(_close(whole, split), f"{sentence}: keep sums and counts, not means of batches.")


@rule("metric")
def merge(subject: Subject) -> None:
    """Two metrics of one part each, merged, have the value of the whole."""
    target, fake = _target(subject), _other(subject)
    whole = score(subject, (fake[:1], target[:1]), (fake[1:], target[1:]))
    first, second = subject.build(), subject.build()
    first.update(fake[:1], target[:1])
    second.update(fake[1:], target[1:])
    try:
        first.merge_state(second)
    except (RuntimeError, AttributeError) as error:
        remedy = "state `full_state_update = False`, and keep what is summed in `add_state`"
        raise AssertionError(f"Two of it can't be merged, as several processes need it: {remedy}.") from error
    merged = float(first.compute())
    sentence = f"The whole has {whole:.6g}, two parts merged have {merged:.6g}: give each state in `add_state` the"
    require(_close(whole, merged), f"{sentence} `dist_reduce_fx` that fits it.")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) or (math.isinf(one) and one == other)
