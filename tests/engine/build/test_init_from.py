"""Training that begins with the weights of another model."""

from __future__ import annotations

import pytest
import torch

import p2pkit
from p2pkit import ConfigError, api
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.build.init_from import load_initial, resume_problems
from p2pkit.engine.storage.checkpoint import tensor_shapes


@pytest.fixture
def first(tiny, quiet, tmp_path):
    """A trained run, whose weights others begin with."""
    return api.train(tiny, registry=quiet, **{"tracking.folder": str(tmp_path / "runs"), "schedule.epochs": 1}).folder


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_both_networks_begin_with_the_weights(checked, first, quiet):
    begun = assemble(checked(**{"engine.init": str(first), "engine.ema": 0.9}))
    fresh = assemble(checked())
    notes = []
    load_initial(begun, notes.append)
    trained = p2pkit.load(first, device="cpu", registry=quiet).generator
    assert equal(begun.players.generator.network, trained)
    assert equal(begun.players.average.network, trained)
    assert not equal(begun.players.discriminator.network, fresh.players.discriminator.network)
    assert notes[0].startswith("generator and discriminator begin with the weights of ")


def test_another_discriminator_begins_anew(checked, first):
    begun = assemble(checked(**{"engine.init": str(first), "discriminator.params.width": 4}))
    before = {key: tensor.clone() for key, tensor in begun.players.discriminator.network.state_dict().items()}
    notes = []
    load_initial(begun, notes.append)
    after = begun.players.discriminator.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert "the discriminator begins anew" in notes[0]


def test_a_run_without_it_is_left_alone(assembled):
    assembly = assembled()
    before = [p.clone() for p in assembly.players.generator.network.parameters()]
    load_initial(assembly, pytest.fail)
    assert all(map(torch.equal, before, assembly.players.generator.network.parameters()))


def test_another_generator_is_found_before_training(checked, first):
    with pytest.raises(ConfigError, match=r"engine\.init: the weights of .* are of another network") as raised:
        checked(**{"engine.init": str(first), "generator": "resnet_6"})
    assert "write generator: {use: 'p2pkit:unet', params: {depth: 4, width: 8," in str(raised.value)
    with pytest.raises(ConfigError, match=r"engine\.init: there is no run or checkpoint 'gone'"):
        checked(**{"engine.init": "gone"})


def test_training_learns_on_and_resuming_needs_the_model_no_more(tiny, quiet, first, tmp_path):
    folder = {"tracking.folder": str(tmp_path / "runs"), "tracking.name": "second"}
    second = api.train(tiny, registry=quiet, **folder, **{"engine.init": str(first), "schedule.epochs": 1})
    assert tensor_shapes(second.checkpoint)[0] == tensor_shapes(first / "checkpoints" / "step-00000003")[0]
    first.rename(tmp_path / "gone")
    resumed = api.resume(second.folder, registry=quiet, **{"schedule.epochs": 2})
    assert resumed.step == 2 * second.step


def test_a_run_goes_on_with_the_networks_it_began_with(work, checked, tmp_path):
    checkpoint = work(tmp_path / "run").train().checkpoint
    assert resume_problems(checked(), checkpoint) == []
    wider = resume_problems(checked(**{"discriminator.params.width": 16}), checkpoint)
    assert [(problem.path, problem.cause) for problem in wider] == [
        ("discriminator.params.width", "was 8 in the checkpoint, is 16")
    ]
    (other,) = resume_problems(checked(generator={"use": "resnet", "params": {"width": 8, "blocks": 1}}), checkpoint)
    assert (other.path, other.cause) == ("generator", "was p2pkit:unet in the checkpoint, is p2pkit:resnet")
    assert "engine.init" in other.remedy
