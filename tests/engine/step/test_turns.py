"""Who moves when: each order and pace, as moves of a step on groups of its batches."""

from __future__ import annotations

import pytest

from p2pkit.config.phase_sections import UpdatesConfig
from p2pkit.engine.step.turns import Turns

D, G = "discriminator", "generator"
MOVES = {
    (False, 1, 1): [[(D, 0), (G, 0)], [(D, 0), (G, 0)]],
    (True, 1, 1): [[(G, 0), (D, 0)], [(G, 0), (D, 0)]],
    (False, 1, 2): [[(D, 0), (D, 1), (G, 1)]] * 2,
    (True, 1, 2): [[(G, 0), (D, 0), (D, 1)]] * 2,
    (False, 2, 1): [[(D, 0), (G, 0)], [(G, 0)], [(D, 0), (G, 0)]],
    (False, 1, 0): [[(G, 0)], [(G, 0)]],
}


@pytest.mark.parametrize(("pace", "moves"), MOVES.items(), ids=str)
def test_who_moves(pace, moves):
    first, generator, discriminator = pace
    turns = Turns(first, UpdatesConfig(generator=generator, discriminator=discriminator))
    assert [list(turns.due(number)) for number in range(len(moves))] == moves


def test_each_update_has_as_many_batches_and_the_generator_those_nearest_to_it():
    pace = UpdatesConfig(discriminator=2)
    assert Turns(updates=pace).groups("abcd") == ["ac", "bd"]
    assert (Turns(False, pace).shared, Turns(True, pace).shared) == (1, 0)
    assert Turns().groups("ab") == ["ab"]
