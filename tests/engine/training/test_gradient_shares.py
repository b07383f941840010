"""Shares of the gradient: right, found in any network, and without a trace in what is learnt."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from p2pkit import ImageSpec, PairSpec
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.training import gradient_shares
from p2pkit.engine.training.gradient_shares import GradientShares, last_weight, preserve_state

RICH = {
    "engine.ema": 0.9,
    "augment": ["flip"],
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8, "dropout": 0.5}},
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8, "norm": "batch"}},
    "losses": {"gan": {"params": {"mode": "lsgan"}}, "l1": 100, "feature_matching": 10},
    "evaluate.every": 1,
}


@pytest.fixture
def shares(assembled):
    def make(**overrides):
        assembly = assembled(**overrides)
        stored, _ = load_split(assembly.checked.dataset.pairs("train"))
        loader = Loader(
            stored,
            assembly.checked.spec,
            batch=4,
            place=assembly.place,
            augmentations=assembly.augmentations,
            shuffle=True,
        )
        return GradientShares(assembly, loader)

    return make


def test_training_is_the_same_to_the_bit_with_and_without(work, tmp_path):
    measured = work(tmp_path / "with", **RICH, **{"health.gradient_shares": 1}).train()
    spared = work(tmp_path / "without", **RICH, **{"health.gradient_shares": 0}).train()
    for file in ("training.safetensors", "generator.safetensors"):
        first, second = load_file(measured.checkpoint / file), load_file(spared.checkpoint / file)
        assert first.keys() == second.keys()
        assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_each_terms_gradient_is_the_one_that_autograd_gives(shares):
    """Recomputed the plain way: one backward pass for each term, through all of the network."""
    measure = shares()
    found = measure()
    step = measure.assembly.step
    gradients = {}
    for term in step.objective.terms:
        source, target = measure._fixed()
        view = step.forward.view((source, target), step.forward.generate(source))
        (term.part.weight * term.loss.generator(view)).backward()
        gradients[term.name] = last_weight(view.fake).grad.flatten().clone()
        step.players.generator.network.zero_grad()
    total = sum(gradients.values())
    norms = {name: gradient.norm().item() for name, gradient in gradients.items()}
    for name, gradient in gradients.items():
        assert found[f"train/gradient_norm/{name}"] == pytest.approx(norms[name], rel=1e-4)
        assert found[f"train/gradient_share/{name}"] == pytest.approx(norms[name] / sum(norms.values()), rel=1e-4)
        cosine = torch.cosine_similarity(gradient, total, dim=0).item()
        assert found[f"train/gradient_cosine/{name}"] == pytest.approx(cosine, abs=1e-4)


def test_the_weight_is_in_it(shares):
    light, heavy = shares(**{"losses.l1.weight": 1})(), shares(**{"losses.l1.weight": 1000})()
    assert heavy["train/gradient_norm/l1"] == pytest.approx(1000 * light["train/gradient_norm/l1"], rel=1e-4)
    assert heavy["train/gradient_norm/gan"] == pytest.approx(light["train/gradient_norm/gan"], rel=1e-4)
    assert heavy["train/gradient_share/l1"] > light["train/gradient_share/l1"]


def test_always_the_same_batch_and_the_same_dropout(shares):
    measure = shares(**RICH)
    first = measure()
    torch.rand(1)
    assert measure() == first


def test_a_term_that_ignores_the_last_layer_has_no_share(shares):
    measure = shares()
    object.__setattr__(measure.assembly.step.objective.terms[0], "loss", _Constant())
    found = measure()
    assert found["train/gradient_share/gan"] == 0
    assert found["train/gradient_cosine/gan"] == 0
    assert found["train/gradient_share/l1"] == pytest.approx(1)


class _Constant:
    def generator(self, view):
        return view.source.mean()


class _Backwards(nn.Module):
    """Its last layer is declared first, scales the output by a learnt number, and has a skip connection around it."""

    def __init__(self):
        super().__init__()
        self.last = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 3, 3, padding=1))
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, source):
        return torch.tanh(self.scale * self.last(self.norm(self.first(source)).relu()) + source)


@pytest.mark.parametrize("autocast", [False, True])
def test_last_weight_is_the_last_that_is_used(autocast):
    network = _Backwards()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = network(torch.zeros(1, 3, 8, 8))
    assert any(last_weight(output) is weight for weight in network.last.parameters())
    assert last_weight(torch.zeros(1)) is None


def test_last_weight_makes_the_targets_channels_in_every_generator(registry):
    images = PairSpec(ImageSpec(3), ImageSpec(5, kind="labels"), 256, 256)
    for name in registry.names("generator"):
        found = registry.resolve("generator", name)
        with torch.device("meta"):
            output = found.component.build(images, found.params)(torch.zeros(1, 3, 256, 256))
        assert 5 in last_weight(output).shape[:2], name


def test_untouched_puts_back_statistics_and_random_numbers():
    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with preserve_state([network], torch.device("cpu")):
        network(torch.randn(2, 3, 8, 8))
        random.random(), np.random.rand()  # noqa: NPY002  as plugins may
        assert any(not torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_only_a_few_pairs_are_looked_at(shares, monkeypatch):
    monkeypatch.setattr(gradient_shares, "FEW", 2)
    measure = shares()
    seen = []
    network = measure.assembly.players.generator.network
    network.register_forward_pre_hook(lambda module, images: seen.append(len(images[0])))
    measure()
    assert seen == [2]
