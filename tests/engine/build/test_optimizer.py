"""Optimisers: what the config says of them, their groups and their learning rates."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from p2pkit import ConfigError
from p2pkit.builtin.optimizers.muon import Muon, orthogonal
from p2pkit.config import load_config, resolve
from p2pkit.engine.build.optimizer import (
    freeze,
    frozen_problems,
    learning,
    learning_rate,
    learning_rate_factor,
    make_optimizer,
    set_learning_rate,
)
from p2pkit.engine.step.players import Player


@pytest.fixture
def made(quiet):
    """Make an optimiser of what a config says of the generator's."""

    def make(network, **written):
        plan = resolve(load_config({"dataset": "shapes", "optimizers": {"generator": written}}), quiet)
        assert plan.problems == ()
        return make_optimizer(plan.optimizers["generator"], plan.config.optimizers.generator, network)

    return make


@pytest.fixture
def network():
    layers = {"encoder": nn.Conv2d(1, 2, 3), "norm": nn.BatchNorm2d(2), "decoder": nn.Conv2d(2, 1, 3)}
    return nn.Sequential(OrderedDict(layers))


@pytest.mark.parametrize(("use", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_an_optimiser_is_what_the_config_says(made, use, kind):
    optimizer = made(nn.Linear(2, 2), use=use, lr=3e-4, betas=[0.1, 0.2], eps=1e-5, weight_decay=0.03)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    wanted = {"lr": 3e-4, "betas": (0.1, 0.2), "eps": 1e-5, "weight_decay": 0.03, "fused": True, "capturable": False}
    assert {key: group[key] for key in wanted} == wanted


def test_defaults_are_the_papers(made):
    (group,) = made(nn.Linear(2, 2)).param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)


def test_parameters_of_its_own_lie_in_params(made):
    optimizer = made(nn.Linear(2, 2), use="sgd", params={"momentum": 0.5}, weight_decay=0.1)
    assert type(optimizer) is SGD
    assert [optimizer.param_groups[0][key] for key in ("momentum", "weight_decay")] == [0.5, 0.1]


def test_what_is_frozen_is_not_moved(made):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    before = [p.clone() for p in network.parameters()]
    optimizer = made(network, weight_decay=0.1)
    assert optimizer.param_groups[0]["params"] == list(network[1].parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    moved = [not torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True)]
    assert moved == [False, False, True, True]


def test_groups_have_their_parameters_by_pattern(made, network):
    groups = [{"match": "norms", "weight_decay": 0}, {"match": "encoder.*", "lr_factor": 0.1}]
    optimizer = made(network, lr=0.2, weight_decay=0.5, groups=groups)
    names = {value: name for name, value in network.named_parameters()}
    found = [([names[p] for p in g["params"]], g["initial_lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert found == [
        (["decoder.weight", "decoder.bias"], 0.2, 0.5),
        (["norm.weight", "norm.bias"], 0.2, 0),
        (["encoder.weight", "encoder.bias"], pytest.approx(0.02), 0.5),
    ]


@pytest.mark.parametrize(
    ("groups", "path", "cause", "remedy"),
    [
        ([{"match": "encodr.*"}], "groups.0.match", "no trainable parameter matches 'encodr.*'", "encoder.weight"),
        ([{"match": "*"}, {"match": "norms"}], "groups.1.match", "only parameters of earlier groups", "before these"),
    ],
)
def test_a_group_without_parameters_is_a_mistake(made, network, groups, path, cause, remedy):
    with pytest.raises(ConfigError) as caught:
        made(network, groups=groups)
    (problem,) = caught.value.problems
    assert problem.path == f"optimizers.generator.{path}"
    assert cause in problem.cause
    assert remedy in problem.remedy


def test_check_tells_of_it_before_anything_is_trained(checked):
    with pytest.raises(ConfigError, match=r"optimizers\.generator\.groups\.0\.match: no trainable parameter"):
        checked(**{"optimizers.generator.groups": [{"match": "no_such.*"}]})


def test_the_rate_of_every_group_is_its_own_times_a_factor(made, network):
    optimizer = made(network, lr=0.5, groups=[{"match": "biases", "lr_factor": 0.5}])
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.125]
    assert learning_rate(optimizer) == 0.25


def test_a_rate_on_the_device_is_set_where_it_lies():
    optimizer = Adam(nn.Linear(1, 1).parameters(), lr=torch.tensor(0.1))
    optimizer.param_groups[0]["initial_lr"] = 0.5
    rate = optimizer.param_groups[0]["lr"]
    set_learning_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] is rate
    assert learning_rate(optimizer) == 0.25
    assert isinstance(learning_rate(optimizer), float)


def test_a_rate_is_written_only_when_it_changes():
    optimizer = Adam([{"params": list(nn.Linear(1, 1).parameters()), "initial_lr": 1.0}], lr=torch.tensor(0.1))
    rate = optimizer.param_groups[0]["lr"]
    versions = []
    for value in (0.1, 0.1, 0.25, 0.25):
        set_learning_rate(optimizer, value)
        versions.append(rate._version)
    assert versions == [1, 1, 2, 2]


def test_a_warm_up_rises_to_the_whole_rate(quiet):
    schedule = {"steps": 8, "shape": "constant", "warm_up": 4}
    plan = resolve(load_config({"dataset": "shapes", "schedule": schedule}), quiet)
    factor = learning_rate_factor(plan, 1)
    assert [factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_muon_makes_singular_values_equal_and_adam_moves_vectors():
    torch.manual_seed(0)
    for shape in ((4, 18), (18, 4)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert 0.6 < values.min() < values.max() < 1.3
    layer = nn.Conv2d(2, 4, 3)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = Muon([{"params": list(layer.parameters()), "lr": 0.1}])
    layer(torch.randn(1, 2, 8, 8)).square().sum().backward()
    optimizer.step()
    moved = (weight - layer.weight.detach()).flatten(1)
    assert moved.square().mean().sqrt().item() == pytest.approx(0.1 * 0.2, rel=0.2)  # as large as a step of AdamW
    assert (bias - layer.bias.detach()).abs().tolist() == pytest.approx([0.1] * 4, rel=1e-3)


def test_frozen_parameters_stay_and_are_counted_all_the_same(made, network):
    network.decoder.bias.requires_grad_(False)  # as its plugin wants it: nobody lets it learn
    player = Player(network, made(network, groups=[{"match": "norms"}]))
    counted = learning(player)
    freeze(player, ["norms", "encoder.w*"])
    named = network.named_parameters()
    assert [name for name, value in named if value.requires_grad] == ["encoder.bias", "decoder.weight"]
    assert [id(value) for value in learning(player)] == [id(value) for value in counted]
    freeze(player, [])
    assert all(value.requires_grad for value in counted)
    assert not network.decoder.bias.requires_grad


def test_patterns_that_freeze_nothing_or_all_are_told(network):
    assert frozen_problems("frozen.generator", network, []) == []
    assert frozen_problems("frozen.generator", network, ["norms", "enc*"]) == []
    (problem,) = frozen_problems("frozen.generator", network, ["encodr.*", "norm.*"])
    assert (problem.path, problem.cause) == ("frozen.generator", "no trainable parameter matches 'encodr.*'")
    (problem,) = frozen_problems("frozen.generator", network, ["encoder.*", "[nd]*"])
    assert problem.cause == "nothing would be left to learn"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_can_be_captured(made):
    (group,) = made(nn.Linear(2, 2, device="cuda"), lr=0.5).param_groups
    assert group["capturable"]
    assert group["lr"].device.type == "cuda"
    assert group["lr"].item() == 0.5
