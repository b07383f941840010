"""Runs of sweeps: one epoch, and an evaluation at its end."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny(tiny):
    return {**tiny, "schedule": {"epochs": 1}, "evaluate": {**tiny["evaluate"], "every": 0}}
