"""Who plays, and what becomes of one while the other moves."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import SGD

from p2pkit.engine.step.players import Player, Players, frozen


@pytest.fixture
def player():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    return Player(network, SGD(network.parameters(), lr=1.0))


def test_gradients_pass_through_a_frozen_network_and_leave_nothing_there(player):
    image = torch.ones(1, 2, requires_grad=True)
    with frozen(player):
        player.network(image).sum().backward()
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in player.network.parameters())


def test_what_was_frozen_stays_so_and_an_error_thaws_the_rest(player):
    player.network[0].requires_grad_(False)
    with frozen(player):
        assert not any(p.requires_grad for p in player.network.parameters())
    with pytest.raises(ZeroDivisionError), frozen(player):
        raise ZeroDivisionError
    assert [p.requires_grad for p in player.network.parameters()] == [False, False, True, True]


def test_nobody_can_be_frozen():
    with frozen(None):
        pass


def test_alone_a_network_learns_itself_batch_by_batch(player):
    assert player.learning is player.network
    contexts = list(player.turn(3))
    assert [type(context) for context in contexts] == [nullcontext] * 3


def test_gradients_are_exchanged_after_the_last_batch_only(player):
    @contextmanager
    def alone():
        seen.append("alone")
        yield

    seen = []
    shared = Player(player.network, player.optimizer, SimpleNamespace(no_sync=alone))
    assert shared.learning is shared.wrapped
    for context in shared.turn(3):
        with context:
            seen.append("batch")
    assert seen == ["alone", "batch", "alone", "batch", "batch"]


def test_a_player_that_is_not_there_has_no_name(player):
    assert Players(player, None).named == {"generator": player}
    assert list(Players(player, player).named) == ["generator", "discriminator"]


def test_what_a_discriminator_has_frozen_stays_so(assembled, batches):
    assembly = assembled()
    first, *others = assembly.players.discriminator.network.parameters()
    first.requires_grad_(False)
    assembly.step(batches(assembly, 1), 0)
    assert not first.requires_grad
    assert first.grad is None
    assert all(parameter.requires_grad for parameter in others)
