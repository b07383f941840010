"""Rules for metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from p2pkit.engine.data.loader import Batch
from p2pkit.engine.evaluation.metrics import metric_inputs, update_metrics, values_of
from p2pkit.engine.evaluation.metrics import score as score_all
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import optional

COUNT = 4
ImagePair = tuple[Tensor, Tensor]


def score(subject: Subject, *batches: ImagePair) -> list[float]:
    """Return a new metric's values of fakes and their targets, whose sources are always the same."""
    source, _ = subject.batch(count=COUNT)
    fakes = iter([fake for fake, _ in batches])
    targets = [target for _, target in batches]
    sources = torch.split(source, [len(target) for target in targets])
    made: list[Tensor] = []

    def pairs() -> Iterator[Batch]:
        for source, target in zip(sources, targets, strict=True):
            made[:] = [next(fakes)]
            yield Batch(source, target, 0.0)

    return list(score_all({"it": subject.build()}, pairs(), lambda _: made[0]).values())


def _target(subject: Subject) -> Tensor:
    return subject.batch(count=COUNT)[1]


def _other(subject: Subject) -> Tensor:
    """Return fakes that are wrong in the first images more than in the last."""
    noise = subject.batch(count=COUNT, seed=9)[1]
    shares = torch.linspace(1, 0.2, COUNT, device=noise.device).view(-1, 1, 1, 1)
    return torch.lerp(_target(subject), noise, shares)


def _shown(values: list[float], digits: int = 4) -> str:
    return ", ".join(f"{value:.{digits}g}" for value in values)


@rule("metric")
def interface(subject: Subject) -> None:
    """It is a torchmetrics Metric that says whether higher is better."""
    from torchmetrics import Metric

    metric = subject.build()
    require(isinstance(metric, Metric), f"Return a torchmetrics.Metric, not a {type(metric).__name__}.")
    stated = optional.higher_is_better(metric)
    require(isinstance(stated, bool), "State `higher_is_better`, True or False; without it no sweep can rank by it.")


@rule("metric")
def best_on_identical(subject: Subject) -> None:
    """Fakes that equal their targets have the best value, and it is a number."""
    target, other = _target(subject), _other(subject)
    best, worse = score(subject, (target, target)), score(subject, (other, target))
    require(not any(map(math.isnan, best)), "It is not a number for fakes that equal their targets.")
    sentence = f"Fakes that equal their targets have {_shown(best)}, others {_shown(worse)}"
    require(_better(subject, best, worse), f"{sentence}: turn `higher_is_better`, or the value's sign.")


@rule("metric")
def worse_on_opposite(subject: Subject) -> None:
    """Fakes that are their targets' opposites, dark for light, are worse than those with a little noise."""
    target = _target(subject).sign()
    near = torch.lerp(target, subject.batch(count=COUNT, seed=9)[1], 0.2)
    opposite, noisy = score(subject, (-target, target)), score(subject, (near, target))
    sentence = f"Opposite images have {_shown(opposite)}, those with a little noise {_shown(noisy)}"
    require(_better(subject, noisy, opposite), f"{sentence}: compare images by their signed values.")


def _better(subject: Subject, one: list[float], other: list[float]) -> bool:
    metric = subject.build()
    higher = optional.higher_is_better(metric)
    if higher is None:
        raise Skip("it does not say whether higher is better")
    if "target" not in metric_inputs(metric):
        raise Skip("it does not compare fakes with their targets")
    update_metrics({"it": metric}, *subject.batch(count=COUNT), lambda _: _other(subject))
    for said in optional.warnings(metric)():
        raise Skip(said)  # so few images mean nothing to it
    return all(a > b if higher else a < b for a, b in zip(one, other, strict=True))


@rule("metric")
def batches(subject: Subject) -> None:
    """Its value does not depend on how images are split into batches."""
    target, fake = _target(subject), _other(subject)
    whole = score(subject, (fake, target))
    split = score(subject, (fake[:1], target[:1]), (fake[1:], target[1:]))
    sentence = (
        f"All images at once have {_shown(whole, 6)}, the same in batches of 1 and {COUNT - 1} {_shown(split, 6)}"
    )
    require(_close(whole, split), f"{sentence}: keep sums and counts, not means of batches.")


@rule("metric")
def merge(subject: Subject) -> None:
    """Two metrics of one part each, merged, have the value of the whole."""
    target, fake = _target(subject), _other(subject)
    whole = score(subject, (fake[:1], target[:1]), (fake[1:], target[1:]))
    first, second = subject.build(), subject.build()
    source, _ = subject.batch(count=COUNT)
    update_metrics({"it": first}, source[:1], target[:1], lambda _: fake[:1])
    update_metrics({"it": second}, source[1:], target[1:], lambda _: fake[1:])
    try:
        first.merge_state(second)
    except (RuntimeError, AttributeError) as error:
        remedy = "state `full_state_update = False`, and keep what is summed in `add_state`"
        raise AssertionError(f"Two of it can't be merged, as several processes need it: {remedy}.") from error
    merged = list(values_of("it", first).values())
    sentence = f"The whole has {_shown(whole, 6)}, two parts merged have {_shown(merged, 6)}"
    remedy = "give each state in `add_state` the `dist_reduce_fx` that fits it"
    require(_close(whole, merged), f"{sentence}: {remedy}.")


def _close(one: list[float], other: list[float]) -> bool:
    return all(a == b or math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(one, other, strict=True))
