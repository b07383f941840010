"""The rules for a GPU, as far as they can be tried without one."""

from __future__ import annotations

import pytest
import torch

from p2pkit.testing.rule import Skip
from p2pkit.testing.rules.cuda import call_of, captured, on_gpu
from p2pkit.testing.seeding import seeded
from p2pkit.testing.suite import Suite

SUBJECTS = [
    subject
    for subject in Suite("p2pkit").subjects
    if subject.kind not in ("dataset", "metric", "schedule", "tracker", "reader", "executor")
]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: f"{subject.kind}-{subject.component.name}")
def test_what_is_done_on_a_gpu_can_be_done_twice(subject):
    if subject.missing or not subject.buildable:
        pytest.skip("its weights are not here" if subject.lacks_weights else "it needs parameters")
    with seeded():
        call = call_of(subject)
        first, second = list(call()), list(call())
    assert len(first) == len(second)
    assert first
    assert all(isinstance(value, torch.Tensor) and value.isfinite().all() for value in (*first, *second))


def test_they_say_why_they_are_skipped(monkeypatch):
    subject = SUBJECTS[0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Skip, match="there is no CUDA device"):
        captured(subject)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (asked,) = Suite("p2pkit.generators", device="cpu").subjects[:1]
    with pytest.raises(Skip, match="only cpu was asked for"):
        captured(asked)
    assert on_gpu(subject).device == "cuda"
