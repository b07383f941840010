"""From a checked plan to networks, optimisers and the step."""

from __future__ import annotations

import pytest
import torch

from p2pkit.engine.build.seeding import derive_seed


def test_sizes_say_what_is_frozen(assembled):
    assembly = assembled()
    facts = assembly.facts()
    assert "generator_trainable_parameters" not in facts
    first = next(assembly.players.discriminator.network.parameters()).requires_grad_(False)
    frozen = assembly.facts()
    assert frozen["discriminator_parameters"] == facts["discriminator_parameters"]
    assert frozen["discriminator_trainable_parameters"] == facts["discriminator_parameters"] - first.numel()


def test_networks_are_those_of_the_seed(assembled):
    first, again, other = (assembled(**{"engine.seed": seed}).players.generator.network for seed in (1, 1, 2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert any(not torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))


def test_processes_have_the_same_weights_and_chance_of_their_own(assembled, placed):
    run = {"engine.batch": 1, "engine.seed": 3}
    weights, drawn = [], []
    for rank in (0, 1):
        placed(RANK=rank, WORLD_SIZE=2)
        assembly = assembled(**run)
        drawn.append(torch.initial_seed())
        weights.append(assembly.players.generator.network.state_dict())
        assert assembly.facts()["global_batch"] == 2
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert drawn[1] == derive_seed(3, 1) != drawn[0]


def test_what_is_evaluated_is_the_average_where_there_is_one(assembled):
    assert (plain := assembled()).evaluated is plain.players.generator.network
    averaged = assembled(**{"engine.ema": 0.9})
    assert averaged.evaluated is averaged.players.average.network
    assert averaged.evaluated is not averaged.players.generator.network


def test_a_trial_has_the_form_of_the_runs_batches(assembled, device):
    assembly = assembled(**{"engine.batch": 3, "engine.accumulate": 2})
    batches = assembly.trial()
    assert len(batches) == 2
    for image in (image for batch in batches for image in batch):
        assert image.shape == (3, 3, 16, 16)
        assert image.device.type == device
        assert image.is_contiguous(memory_format=assembly.place.memory_format)
        assert image.min() >= -1
        assert image.max() <= 1
    assert all(value.isfinite() for value in assembly.step(batches, 0).values())


def test_facts_say_what_was_settled(assembled):
    facts = assembled(**{"engine.batch": 2, "engine.accumulate": 3}).facts()
    assert (facts["processes"], facts["global_batch"]) == (1, 6)
    assert (facts["compile"], facts["cuda_graph"]) == (False, "off")
    assert "discriminator_parameters" not in assembled(**{"losses.gan.weight": 0}).facts()


@pytest.mark.parametrize("first", ["discriminator", "generator"])
def test_the_order_of_updates_is_the_configs(assembled, first):
    assembly = assembled(**{"engine.order": f"{first}_first", "engine.clip": 0.5})
    assert assembly.step.turns.generator_first == (first == "generator")
    assert assembly.step.clip == 0.5
    assert assembly.update is assembly.step


def test_a_phase_has_the_same_networks_and_another_step(assembled):
    phases = [
        {
            "epochs": 1,
            "size": 8,
            "losses": {"gan": 0},
            "frozen": {"generator": ["up.*"]},
            "updates": {"discriminator": 2},
        }
    ]
    last = assembled(
        phases=phases, **{"dataset.params.size": 16, "generator": {"use": "unet", "params": {"depth": 2, "width": 8}}}
    )
    assert (last.phase.number, last.batches_per_step) == (2, 1)
    first = last.enter(last.checked.plan.phases[0])
    for name, player in first.players.named.items():
        assert player.network is last.players.named[name].network
        assert player.optimizer is last.players.named[name].optimizer
    assert (first.step.players.discriminator, first.batches_per_step) == (None, 2)
    assert {image.shape for batch in first.trial() for image in batch} == {(4, 3, 8, 8)}
    assert first.step.objective.modules == last.step.objective.modules
    assert "train/discriminator/gan" not in first.step(first.trial(), 0)
    frozen = {
        name.partition(".")[0]
        for name, value in first.players.generator.network.named_parameters()
        if not value.requires_grad
    }
    assert frozen == {"up"}
    assert "train/discriminator/gan" in first.enter(last.phase).step(last.trial(), 1)
    assert all(value.requires_grad for value in last.players.generator.network.parameters())
