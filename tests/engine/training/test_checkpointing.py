"""From a run under way to a checkpoint, and back to the bit."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from p2pkit import ModelError
from p2pkit.config import load_config, resolve
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.evaluation.evaluator import Evaluator
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.storage.state import read_state
from p2pkit.engine.training.checkpointing import load_checkpoint, save_checkpoint
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent

RICH = {"engine.ema": 0.9, "augment": ["flip"], "generator": {"use": "unet", "params": {"depth": 3, "width": 8}}}


@pytest.fixture
def trained(assembled, batches):
    """A run after some steps."""

    def make(steps=2, **overrides):
        assembly = assembled(**overrides)
        for number, batch in enumerate(batches(assembly, steps)):
            assembly.step([batch], number)
        return assembly

    return make


def save(assembly, folder, position=None, **options):
    config = assembly.checked.plan.resolved()
    return save_checkpoint(folder, assembly, position or Progress(2, 0, 2), config, **options)


def test_same_seed_same_weights(work, tmp_path, weights, assert_same):
    first = work(tmp_path / "a", **RICH).train()
    second = work(tmp_path / "b", **RICH).train()
    other = work(tmp_path / "c", **RICH, **{"engine.seed": 1}).train()
    assert_same(weights(first.checkpoint), weights(second.checkpoint))
    assert first.report.metrics == second.report.metrics
    assert first.report.metrics != other.report.metrics


@pytest.mark.parametrize(("at", "cache"), [(2, "memory"), (3, "memory"), (5, "memory"), (5, "off")])
def test_interrupted_and_resumed_equals_uninterrupted(work, signalled, tmp_path, at, cache, weights, assert_same):
    """Stopped by a signal in the middle or at the end of an epoch, the run goes on as if nothing had been."""
    rich = {**RICH, "engine.cache": cache, "engine.workers": 0}
    whole = work(tmp_path / "whole", **rich).train()
    stopped = work(tmp_path / "cut", **rich).train(on_step=signalled(at - 1))
    assert stopped.signal == signal.SIGTERM
    assert stopped.progress.step == at
    assert stopped.checkpoint.name == f"step-{at:08d}"
    resumed = work(tmp_path / "cut", **rich).train(stopped.checkpoint)
    assert resumed.progress == whole.progress
    assert_same(weights(resumed.checkpoint), weights(whole.checkpoint))
    assert resumed.report.metrics == whole.report.metrics


@pytest.mark.parametrize(("evaluation", "step"), [(1, 0), (2, 3), (3, 6)])
def test_an_evaluation_that_a_signal_ended_is_made_by_who_goes_on(
    work, monkeypatch, tmp_path, evaluation, step, weights, assert_same
):
    """At the beginning, after an epoch and at the very end it is left at once, and nothing of it is told."""
    act, calls = Evaluator.__call__, []

    def strike(*given):
        calls.append(None)
        if len(calls) == evaluation:
            os.kill(os.getpid(), signal.SIGTERM)
        return act(*given)

    often = {**RICH, "evaluate.every": 1}
    whole = work(tmp_path / "whole", **often).train()
    monkeypatch.setattr(Evaluator, "__call__", strike)
    stopped = work(tmp_path / "cut", **often).train()
    assert (stopped.signal, stopped.progress.step) == (signal.SIGTERM, step)
    assert not (tmp_path / "cut" / "samples" / f"step-{step:08d}.json").exists()
    resumed = work(tmp_path / "cut", **often).train(stopped.checkpoint)
    assert_same(weights(resumed.checkpoint), weights(whole.checkpoint))
    assert resumed.report.metrics == whole.report.metrics
    counted = [read_state(outcome.checkpoint)["memory"]["evaluations"] for outcome in (whole, resumed)]
    assert counted == [3, 3]
    assert len(calls) == 4


def test_checkpoint_holds_its_config_and_state(work, quiet, tmp_path):
    outcome = work().train()
    assert {path.name for path in outcome.checkpoint.iterdir()} == {
        "generator.safetensors",
        "training.safetensors",
        "state.json",
        "run.yaml",
    }
    config = read_config(outcome.checkpoint)
    assert config["generator"] == {
        "use": "p2pkit:unet",
        "alias": "unet_tiny",
        "params": {**config["generator"]["params"], "depth": 4, "width": 8, "dropout": 0.0},
    }
    assert resolve(load_config(config), quiet).resolved() == config
    state = read_state(outcome.checkpoint)
    assert state["position"] == {"step": 6, "epoch": 2, "batches": 0}
    assert state["images"].height == 16
    assert json.loads((outcome.checkpoint / "state.json").read_text())["format"] == 1


def moments(assembly):
    """Return what the optimisers remember, by player, parameter and name."""
    return {
        f"{name}.{index}.{key}": value
        for name, player in assembly.players.named.items()
        for index, state in player.optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


@pytest.mark.parametrize("options", [{}, {"engine.ema": 0.9}, {"losses.gan.weight": 0}])
def test_all_that_training_moves_comes_back(trained, assembled, batches, tmp_path, options, assert_same):
    first = trained(**options)
    path = save(first, tmp_path)
    drawn = torch.rand(3)
    second = assembled(**options)
    assert load_checkpoint(path, second) == Progress(2, 0, 2)
    assert torch.equal(torch.rand(3), drawn)
    assert_same(first.evaluated.state_dict(), second.evaluated.state_dict())
    assert_same(moments(first), moments(second))
    for name, player in first.players.named.items():
        assert_same(player.network.state_dict(), second.players.named[name].network.state_dict())
    batch = batches(first, 1)
    scalars = [assembly.step(batch, 2) for assembly in (first, second)]
    assert_same(dict(scalars[0]), dict(scalars[1]))


def test_a_run_under_way_goes_back_in_its_own_memory(trained, batches, tmp_path, assert_same):
    """A captured step reads weights and moments where they lie."""
    assembly = trained()
    path = save(assembly, tmp_path)
    held, kept = moments(assembly), {name: value.clone() for name, value in moments(assembly).items()}
    places = [parameter.data_ptr() for parameter in assembly.players.generator.network.parameters()]
    assembly.step(batches(assembly, 1), 2)
    assert any(not torch.equal(value, kept[name]) for name, value in held.items())
    load_checkpoint(path, assembly)
    assert_same(held, kept)
    assert [parameter.data_ptr() for parameter in assembly.players.generator.network.parameters()] == places


def test_before_the_first_step_all_moments_are_zero(assembled, trained, tmp_path):
    path = save(assembled(), tmp_path, Progress())
    assembly = trained()
    load_checkpoint(path, assembly)
    assert not any(value.any() for value in moments(assembly).values())


def test_moments_lie_as_their_parameters_do(trained, assembled, tmp_path):
    """A fused update walks both in the order of memory."""
    path = save(trained(**{"engine.memory_format": "channels_last"}), tmp_path)
    assembly = assembled(**{"engine.memory_format": "channels_last"})
    load_checkpoint(path, assembly)
    optimizer = assembly.players.generator.optimizer
    for parameter, state in optimizer.state.items():
        assert state["exp_avg"].stride() == parameter.stride()


def test_the_state_says_what_is_in_force(trained, tmp_path):
    path = save(trained(), tmp_path, notes={"best": {"metric": "l1", "value": 0.5}}, statistics={"x": torch.ones(1)})
    state = read_state(path)
    assert path.name == "step-00000002"
    assert state["pairs_per_batch"] == 4
    assert state["best"] == {"metric": "l1", "value": 0.5}
    assert state["settled"]["device"] == "cpu"
    assert torch.equal(load_file(path / "recalibrated.safetensors")["x"], torch.ones(1))


@pytest.mark.parametrize(
    ("options", "done"),
    [
        ({}, 2),
        ({"engine.batch": 2}, 4),
        ({"engine.batch": 8}, 1),
        ({"engine.batch": 3}, 2),  # 8 pairs are done; what does not come out even is seen again
        ({"engine.batch": 2, "engine.accumulate": 3}, 3),
        ({"engine.batch": 1, "engine.accumulate": 12}, 0),
    ],
)
def test_the_position_is_counted_in_batches_as_large_as_they_are_now(trained, assembled, tmp_path, options, done):
    path = save(trained(), tmp_path)
    assert load_checkpoint(path, assembled(**options)) == Progress(2, 0, done)


def test_a_checkpoint_from_before_sizes_were_noted_is_taken_as_it_is(trained, assembled, tmp_path):
    path = save(trained(), tmp_path)
    state = json.loads((path / "state.json").read_text())
    del state["pairs_per_batch"], state["digest"]
    (path / "state.json").write_text(json.dumps(state))
    assert load_checkpoint(path, assembled(**{"engine.batch": 2})) == Progress(2, 0, 2)


def test_only_the_main_process_writes_and_all_give_their_random_numbers(trained, tmp_path, placed, monkeypatch):
    assembly = trained()
    placed(RANK=1, WORLD_SIZE=2)
    path = save(assembly, tmp_path)
    assert (path.name, path.exists()) == ("step-00000002", False)
    placed(RANK=0, WORLD_SIZE=2)
    theirs = {"cpu": torch.get_rng_state().flip(0)}
    monkeypatch.setattr("p2pkit.engine.training.checkpointing.all_gather", lambda mine: [mine, theirs])
    tensors = load_file(save(assembly, tmp_path) / "training.safetensors")
    assert torch.equal(tensors["random.cpu"], torch.get_rng_state())
    assert torch.equal(tensors["random.1.cpu"], theirs["cpu"])


def test_a_process_that_is_new_begins_with_random_numbers_of_its_own(trained, assembled, tmp_path, placed):
    path = save(trained(), tmp_path)
    drawn = []
    for rank in (0, 1, 2, 1):
        placed(RANK=rank, WORLD_SIZE=3)
        load_checkpoint(path, assembled(**{"engine.batch": 1}))
        drawn.append(torch.rand(()).item())
    assert len(set(drawn)) == 3
    assert drawn[1] == drawn[3]


def test_weights_of_another_network_are_refused(trained, assembled, tmp_path):
    path = save(trained(), tmp_path)
    with pytest.raises(ModelError, match="don't fit the network"):
        load_checkpoint(path, assembled(**{"discriminator.params.width": 4}))


def test_alarms_and_sums_go_on_after_an_interruption(work, signalled, tmp_path):
    """The first reading after a resumption is the mean over all steps since the one before, as if nothing had been."""
    rare = {**RICH, "engine.log_every": 4, "schedule.epochs": 4}
    readings = {}

    def watch(name):
        return lambda loop: readings.setdefault(name, {}).update({loop.status.progress.step: dict(loop.status.latest)})

    work(tmp_path / "whole", **rich(rare)).train(on_step=watch("whole"))
    stop, note = signalled(5), watch("cut")
    stopped = work(tmp_path / "cut", **rich(rare)).train(on_step=lambda loop: (note(loop), stop(loop)))
    assert stopped.progress.step == 6
    work(tmp_path / "cut", **rich(rare)).train(stopped.checkpoint, on_step=watch("resumed"))
    for step in (9, 11):
        whole, resumed = (
            {key: value for key, value in readings[name][step].items() if not key.startswith("speed/")}
            for name in ("whole", "resumed")
        )
        assert resumed == pytest.approx(whole)


def rich(options):
    return {**options, "engine.cache": "memory", "engine.workers": 0}


def test_what_a_loss_has_learnt_comes_back_to_the_bit(learned, signalled, quiet, tmp_path, weights, assert_same):
    """Its parameters, buffers and moments do; the gradient shares, which ask it too, leave no trace."""

    def session(name, **overrides):
        (tmp_path / name).mkdir(exist_ok=True)
        own = {"evaluate.every": 1, "optimizers.losses": {"use": "muon", "lr": 0.01}, **overrides}
        return RunSession(learned(**own), quiet.plugins, tmp_path / name, Silent())

    whole = session("whole").train()
    stopped = session("cut").train(on_step=signalled(2))
    resumed = session("cut").train(stopped.checkpoint)
    unwatched = session("unwatched", **{"health.gradient_shares": 0}).train()
    found = weights(whole.checkpoint)
    assert found["losses.learned.calls"] == whole.progress.step
    assert found["losses.learned.log_var"] != 0
    assert "optimizer.losses.learned.0.mean" in found
    assert_same(found, weights(resumed.checkpoint))
    assert_same(found, weights(unwatched.checkpoint))


def test_a_checkpoint_from_before_losses_were_kept_goes_on(learned, tmp_path):
    old = assemble(learned(losses={"gan": 1, "l1": 100}))
    path = save(old, tmp_path)
    new = assemble(learned())
    assert load_checkpoint(path, new) == Progress(2, 0, 2)
    assert new.step.objective.modules["losses.learned"].calls == 0


@pytest.mark.parametrize(
    "groups", [[], [{"match": "norms", "weight_decay": 0.0}, {"match": "biases", "lr_factor": 0.5}]]
)
def test_moments_belong_to_parameters_however_these_are_grouped(trained, assembled, tmp_path, groups, assert_same):
    first = trained(**{"optimizers.generator.groups": groups[:1]})
    second = assembled(**{"optimizers.generator.groups": groups})
    load_checkpoint(save(first, tmp_path), second)
    for one, other in zip(
        first.players.generator.network.parameters(), second.players.generator.network.parameters(), strict=True
    ):
        mine, theirs = first.players.generator.optimizer.state[one], second.players.generator.optimizer.state[other]
        assert_same(mine, theirs)
