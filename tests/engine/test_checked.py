"""A plan whose parts are known to be there."""

from __future__ import annotations

import dataclasses

import pytest


def test_it_carries_what_checking_has_opened(checked):
    run = checked(**{"evaluate.split": "train"})
    assert run.spec is run.dataset.spec
    assert run.split == "train"
    assert run.data is run.plan.dataset
    assert run.generator is run.plan.generator
    assert run.discriminator is run.plan.discriminator


def test_a_discriminator_that_no_term_trains_is_not_there(checked):
    run = checked(**{"losses.gan.weight": 0})
    assert run.discriminator is None
    assert run.plan.discriminator is not None


def test_it_stays_as_it_was_checked(checked):
    with pytest.raises(dataclasses.FrozenInstanceError):
        checked().split = "train"
