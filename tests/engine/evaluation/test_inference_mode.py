"""In which mode a generator is run: what it does, and that no trace of it is left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import p2pkit
from p2pkit.engine.evaluation.inference_mode import InferenceMode, available_modes, recalibrate, run_in_mode


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5), nn.BatchNorm2d(4)).train()


@pytest.fixture
def sources():
    return [torch.randn(2, 3, 4, 4) * 3 + 1 for _ in range(5)]


def beside_nothing(sources):
    return [(source, {}) for source in sources]


def snapshot(network):
    modes = [(module.training, getattr(module, "momentum", None)) for module in network.modules()]
    return {name: value.clone() for name, value in network.state_dict().items()}, modes


def test_statistics_are_the_mean_over_batches(network, sources):
    before, modes = snapshot(network)
    found = recalibrate(network, beside_nothing(sources))
    features = [network[0](source).detach() for source in sources]
    expected = torch.stack([feature.mean((0, 2, 3)) for feature in features]).mean(0)
    torch.testing.assert_close(found["2.running_mean"], expected)
    spread_out = torch.stack([feature.transpose(0, 1).flatten(1).var(1) for feature in features]).mean(0)
    torch.testing.assert_close(found["2.running_var"], spread_out)
    after, same = snapshot(network)
    assert same == modes
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_statistics_are_used_and_taken_away_again(network, sources):
    before, modes = snapshot(network)
    found = recalibrate(network, beside_nothing(sources))
    with run_in_mode(network, InferenceMode("recalibrated"), found):
        normalised = torch.cat([network(source) for source in sources])
    assert normalised.mean().abs() < 0.05
    assert normalised.std() == pytest.approx(1, abs=0.1)
    with run_in_mode(network, InferenceMode("running")):
        assert torch.cat([network(source) for source in sources]).std() > 1.3
    after, same = snapshot(network)
    assert same == modes
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_dropout_is_on_where_the_mode_has_it_on(network, sources):
    without, with_noise = (
        recalibrate(network, beside_nothing(sources), dropout)["2.running_var"] for dropout in ("off", "on")
    )
    assert (with_noise > 1.2 * without).all()


def test_a_network_without_batch_norm_needs_no_sources():
    assert recalibrate(nn.Conv2d(3, 3, 1), iter([None])) == {}


def test_a_run_in_recalibrated_mode_can_be_used(work):
    """Its checkpoint holds the statistics by which it was scored, so that it translates in the same mode."""
    options = {"evaluate.batch_norm": "recalibrated", "evaluate.metrics": ["l1"], "schedule.epochs": 1}
    job = work(**options)
    outcome = job.train()
    translator = p2pkit.load(outcome.checkpoint, device="cpu")
    pairs = job.checked.dataset.pairs("val")
    fakes = torch.stack([translator.translate(pair.source) for pair in pairs]).float()
    targets = torch.stack([pair.target for pair in pairs]).float()
    found = (fakes - targets).abs().mean().item() / 127.5
    assert found == pytest.approx(outcome.report.metrics["l1"], abs=1e-3)  # fakes are rounded to 8 bits
    plain = work(job.folder.parent / "plain", **{**options, "evaluate.batch_norm": "running"}).train()
    assert abs(plain.report.metrics["l1"] - outcome.report.metrics["l1"]) > 2e-3
    with pytest.raises(p2pkit.ModelError, match="no statistics of batch norm"):
        p2pkit.load(plain.checkpoint, device="cpu", **{"evaluate.batch_norm": "recalibrated"})


def test_random_numbers_of_other_devices_are_left_alone(network, sources, monkeypatch):
    asked = []
    fork = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices=None: asked.append(devices) or fork(devices))
    with run_in_mode(network, InferenceMode()):
        network(sources[0])
    assert asked == [[]]


@pytest.fixture
def mixed():
    """A network with batch norm, dropout and a norm without statistics."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.InstanceNorm2d(4))


def test_running_statistics_and_no_dropout(mixed):
    image = torch.randn(2, 3, 4, 4)
    with run_in_mode(mixed, InferenceMode()):
        assert torch.equal(mixed(image), mixed(image))
        torch.testing.assert_close(mixed(image)[:1], mixed(image[:1]))


def test_batch_statistics_leave_no_trace(mixed):
    image = torch.randn(1, 3, 4, 4) * 5 + 3
    before = {name: value.clone() for name, value in mixed.state_dict().items()}
    with run_in_mode(mixed, InferenceMode("batch")):
        normalised = mixed[1](mixed[0](image))
        assert normalised.mean().abs() < 1e-5
    for name, value in mixed.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert mixed[1].momentum == 0.1


def test_dropout_on_is_repeatable_and_leaves_the_seed_alone(mixed):
    image = torch.randn(1, 3, 4, 4)
    state = torch.get_rng_state()
    outputs = []
    for _ in range(2):
        with run_in_mode(mixed, InferenceMode(dropout="on")):
            outputs.append(mixed[2](mixed[0](image)))
    assert torch.equal(*outputs)
    assert (outputs[0] == 0).any()
    assert torch.equal(state, torch.get_rng_state())


def test_modes_come_back(mixed):
    mixed.train()
    mixed[2].eval()
    with run_in_mode(mixed, InferenceMode("batch", "on")):
        assert mixed[2].training
        assert not mixed[3].training
    assert mixed.training
    assert not mixed[2].training


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([], ["running off"]),
        ([nn.Dropout(0.5)], ["running off", "running on"]),
        ([nn.Dropout(0.0)], ["running off"]),
        ([nn.BatchNorm2d(3)], ["running off", "recalibrated off", "batch off"]),
        ([nn.BatchNorm2d(3, track_running_stats=False)], ["running off"]),
    ],
)
def test_only_modes_that_differ_are_offered(layers, names):
    found = available_modes(nn.Sequential(nn.Conv2d(3, 3, 1), *layers))
    assert [f"{mode.batch_norm} {mode.dropout}" for mode in found] == names


def test_an_error_leaves_no_trace_either(mixed):
    before, modes = snapshot(mixed)
    with pytest.raises(RuntimeError), run_in_mode(mixed, InferenceMode("batch", "on")):
        mixed(torch.zeros(1))
    after, same = snapshot(mixed)
    assert same == modes
    assert all(torch.equal(after[name], value) for name, value in before.items())
