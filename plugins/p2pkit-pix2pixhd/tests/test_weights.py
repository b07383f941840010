"""Coarse to fine: what is taken over, what stays, and what is said where that can't be."""

from __future__ import annotations

import copy

import pytest
import torch
from p2pkit import ComponentError
from torch import nn


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def learn(net: nn.Module, steps: int = 3) -> None:
    """Train as the engine does: its optimiser is given what wants a gradient."""
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
    for _ in range(steps):
        net(torch.randn(2, 3, 32, 32)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_the_global_generator_is_taken_over_exactly(coarse, fine, checkpoint):
    trained = coarse(init_std=0.1)
    net = fine(weights=checkpoint(trained))
    assert same(state(net.features.coarse), state(trained.features))
    source = torch.randn(1, 3, 16, 16)
    assert torch.equal(net.features.coarse(source), trained.features(source))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_frozen_it_stays_while_the_enhancer_learns(coarse, fine, checkpoint, norm):
    net = fine(norm=norm, weights=checkpoint(coarse(norm=norm)), train_coarse=False)
    frozen = {id(p) for p in net.features.coarse.parameters()}
    assert all(p.requires_grad != (id(p) in frozen) for p in net.parameters())
    before, outside = state(net.features.coarse), state(net.features.front)
    net.train()
    learn(net)
    assert same(state(net.features.coarse), before)
    assert not same(state(net.features.front), outside)
    assert net.features.front.training
    assert not net.features.coarse.training


def test_by_default_all_of_it_learns(coarse, fine, checkpoint):
    net = fine(weights=checkpoint(coarse()))
    before = state(net.features.coarse)
    assert all(p.requires_grad for p in net.parameters())
    learn(net, 1)
    assert not same(state(net.features.coarse), before)


def test_the_joint_stage_begins_from_the_whole_local_generator(fine, coarse, checkpoint):
    local = fine(weights=checkpoint(coarse()), train_coarse=False)
    learn(local, 1)
    joint = fine(weights=checkpoint(local, "local"))
    assert same(state(joint), state(local))
    assert all(p.requires_grad for p in joint.parameters())


def test_a_global_generator_begins_from_another(coarse, checkpoint):
    trained = coarse()
    assert same(state(coarse(weights=checkpoint(trained))), state(trained))


def test_a_second_enhancer_takes_over_the_first_with_what_is_inside(fine, checkpoint):
    local = fine(width=4)
    net = fine(width=2, enhancers=2, weights=checkpoint(local), train_coarse=False)
    assert same(state(net.features.coarse), state(local.features))
    assert not any(p.requires_grad for p in net.features.coarse.parameters())


def test_a_run_means_its_latest_checkpoint_and_a_file_itself(coarse, checkpoint, tmp_path):
    old, new = coarse(init_std=0.1), coarse(init_std=0.2)
    first = checkpoint(old, "run/checkpoints/step-00000009")
    checkpoint(new, "run/checkpoints/step-00000010")
    assert same(state(coarse(weights=tmp_path / "run")), state(new))
    assert same(state(coarse(weights=first / "generator.safetensors")), state(old))


def test_what_learns_in_every_stage_comes_first(fine, coarse, checkpoint):
    """Optimiser state is numbered by parameter: a resumed run that trains more must find the same ones in front."""
    frozen = fine(weights=checkpoint(coarse()), train_coarse=False)
    alone = [name for name, p in frozen.named_parameters() if p.requires_grad]
    assert [name for name, _ in fine().named_parameters()][: len(alone)] == alone


def test_weights_that_are_nowhere(fine, tmp_path):
    net = fine(weights=tmp_path / "nowhere")
    with pytest.raises(ComponentError, match=r"there is no checkpoint at .*nowhere") as raised:
        net(torch.zeros(1, 3, 32, 32))
    assert raised.value.at("generator").path == "generator.params.weights"


def test_a_checkpoint_of_its_own_needs_no_other_weights(fine, coarse, checkpoint, tmp_path):
    trained = fine(weights=checkpoint(coarse()), train_coarse=False)
    elsewhere = fine(weights=tmp_path / "left behind", train_coarse=False)
    elsewhere.load_state_dict(trained.state_dict())
    source = torch.randn(1, 3, 32, 32)
    assert torch.equal(elsewhere(source), trained(source))


def test_freezing_nothing_is_refused(fine):
    with pytest.raises(ComponentError, match="no weights to give it") as raised:
        fine(train_coarse=False)(torch.zeros(1, 3, 32, 32))
    assert raised.value.parameter == "train_coarse"


@pytest.mark.parametrize(
    ("params", "difference"),
    [
        ({"width": 8}, r"features\.0\.0\.bias is 8, where 4 is wanted"),
        ({"blocks": 3}, r"features\.5\.0\.weight is 16 x 8 x 3 x 3|they have"),
        ({"norm": "batch"}, r"they have features\.0\.1\.bias, which has no place here"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_of_another_design(fine, coarse, checkpoint, params, difference, device):
    other = checkpoint(coarse(**params))
    with torch.device(device), pytest.raises(ComponentError, match=difference):
        fine(weights=other)(torch.zeros(1, 3, 32, 32))


def test_the_same_network_at_another_width(fine, checkpoint):
    with pytest.raises(ComponentError, match=r"features\.back\.0\.model\.0\.bias is 8, where 4 is wanted"):
        fine(weights=checkpoint(fine(width=4)))(torch.zeros(1, 3, 32, 32))


def test_a_file_that_holds_no_weights(coarse, tmp_path):
    (tmp_path / "generator.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ComponentError, match="can't be read"):
        coarse(weights=tmp_path)(torch.zeros(1, 3, 16, 16))


def test_the_meta_device_checks_the_fit_and_reads_nothing(fine, coarse, checkpoint):
    folder = checkpoint(coarse())
    with torch.device("meta"):
        net = fine(weights=folder)
        assert net(torch.zeros(1, 3, 32, 32)).is_meta
    assert all(p.is_meta for p in net.parameters())


def test_a_moving_average_is_a_copy(fine, coarse, checkpoint):
    net = fine(weights=checkpoint(coarse()), train_coarse=False)
    twin = copy.deepcopy(net).requires_grad_(False)
    learn(net, 1)
    assert same(state(twin.features.coarse), state(net.features.coarse))
    assert not same(state(twin.head), state(net.head))
