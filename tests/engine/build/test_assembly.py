"""What building a run sets up around it."""

from __future__ import annotations

import os

import pytest
import torch


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


def test_sizes_say_what_is_frozen(assembled):
    assembly = assembled()
    facts = assembly.facts()
    assert "generator_trainable_parameters" not in facts
    first = next(assembly.players.discriminator.network.parameters()).requires_grad_(False)
    frozen = assembly.facts()
    assert frozen["discriminator_parameters"] == facts["discriminator_parameters"]
    assert frozen["discriminator_trainable_parameters"] == facts["discriminator_parameters"] - first.numel()
