"""The number of the step on the device."""

from __future__ import annotations

import torch

from p2pkit.engine.step.clock import Clock


def test_steps_that_follow_each_other_are_counted_and_others_set():
    clock, shown, versions = Clock(torch.device("cpu")), [], []
    for number in (0, 1, 2, 7, 8, 3):
        before = clock.step._version
        clock.set(number)
        versions.append(clock.step._version - before)
        clock.count()
        shown.append(clock.step.item())
    assert shown == [0, 1, 2, 7, 8, 3]
    assert versions == [0, 0, 0, 1, 0, 1]  # what is not written is no launch
