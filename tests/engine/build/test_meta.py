from __future__ import annotations

import torch
from torch import nn

from p2pkit.engine.build.meta import trial_device


def test_a_network_that_reads_its_weights_is_tried_without_them_and_without_a_word():
    weights = nn.Linear(2, 3).state_dict()
    with trial_device():
        network = nn.Linear(2, 3)
        network.load_state_dict(weights)
    assert network.weight.is_meta
    with trial_device("cpu"):
        network = nn.Linear(2, 3)
        network.load_state_dict(weights)
    assert torch.equal(network.weight, weights["weight"])
