"""One seed for a run, and one of its own for each process."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

from p2pkit.engine.build.seeding import derive_seed, seed_everything


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back in the end
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    yield monkeypatch
    torch.use_deterministic_algorithms(False)


def test_deterministic_algorithms_are_allowed_alone_where_that_is_asked_for(assembled):
    assembled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    assembled(**{"engine.deterministic": True})
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_users_own_workspace_is_left_alone(assembled, as_before):
    as_before.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assembled(**{"engine.deterministic": True})
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 7])
def test_all_three_generators_are_seeded(seed):
    def drawn():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002  plugins use it

    seed_everything(seed)
    first = drawn()
    assert first != drawn()
    seed_everything(seed)
    assert first == drawn()
    seed_everything(seed + 1)
    assert all(a != b for a, b in zip(first, drawn(), strict=True))


def test_algorithms_are_chosen_by_trial_unless_they_must_not_differ():
    seed_everything(0)
    assert torch.backends.cudnn.benchmark
    seed_everything(0, deterministic=True)
    assert not torch.backends.cudnn.benchmark


def test_each_process_and_step_has_a_seed_of_its_own():
    places = [(seed, rank, step) for seed in (0, 1) for rank in (0, 1, 2) for step in (0, 1, 1000)]
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert seeds == [derive_seed(*place) for place in places]
    assert derive_seed(5, 1) == derive_seed(5, 1, 0)
    for seed in seeds:
        assert 0 <= seed < 2**63
        torch.manual_seed(seed)
