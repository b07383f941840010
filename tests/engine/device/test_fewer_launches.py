"""Weights cast together, and batch norms counted together: the same as one by one, in fewer launches."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from p2pkit.engine.device.fewer_launches import FewerLaunches
from p2pkit.engine.device.precision import Precision
from p2pkit.engine.training.gradient_shares import GradientShares

CPU = torch.device("cpu")
BF16 = torch.bfloat16
OPTIONS = {
    "plain": {},
    "generator first": {"engine.order": "generator_first"},
    "average": {"engine.ema": 0.9},
    "accumulation": {"engine.accumulate": 2},
    "clipping": {"engine.clip": 0.5},
    "r1": {"losses.r1": 1},
    "wgan-gp": {"losses.gan.params.mode": "wgan", "losses.gradient_penalty": 10},
    "features": {"losses.feature_matching": 10},
    "spectral norm": {"discriminator.params.spectral_norm": True},
}


class Launches(TorchDispatchMode):
    """Counts operations."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def trained(assembled, settings, together, steps=2):
    """Take steps on the same images, and return all scalars, and then all weights and statistics."""
    assembly = assembled(**settings)
    assembly.place.precision.together = together
    batches = assembly.trial()
    torch.manual_seed(0)
    scalars = [
        {name: value.item() for name, value in assembly.step(batches, number).items()} for number in range(steps)
    ]
    networks = [assembly.evaluated, *(player.network for player in assembly.players.named.values())]
    return scalars, [network.state_dict() for network in networks]


def equal(one, other):
    return all(map(torch.equal, one.values(), other.values())) and one.keys() == other.keys()


@pytest.mark.parametrize("settings", [{"engine.precision": "fp32", "losses.r1": 1}, {"losses.gan.weight": 0}])
def test_where_no_weight_is_used_twice_in_low_precision_it_is_the_same_to_the_bit(assembled, settings):
    settings = {"engine.precision": "bf16", "engine.ema": 0.9, **settings}
    (expected, before), (found, after) = (trained(assembled, settings, together) for together in (False, True))
    assert found == expected
    assert all(map(equal, before, after))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_the_step_learns_the_same_in_bf16(assembled, option):
    settings = {"engine.precision": "bf16", **OPTIONS[option]}
    (expected, before), (found, after) = (trained(assembled, settings, together) for together in (False, True))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, rel=0.02, abs=0.01)
    for mine, theirs in zip(after, before, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert value.dtype == theirs[name].dtype
            # Adam's first steps are as long for any gradient: one whose sign is lost in rounding goes the other way.
            torch.testing.assert_close(value, theirs[name], rtol=0.02, atol=2.5 * 2 * 2e-4)
    assert [name for name in after[0] if "tracked" in name]


def test_fp16_scales_and_leaves_out_what_overflows(assembled):
    found = []
    for scale in (1024.0, 1e38):
        assembly = assembled(**{"losses.gan.weight": 0})
        precision = assembly.step.forward.precision = Precision("fp16", CPU)
        precision.together, precision.scaler = True, torch.amp.GradScaler("cpu", init_scale=scale)
        before = copy.deepcopy(assembly.players.generator.network)
        assembly.step(assembly.trial(), 0)
        weights = zip(before.parameters(), assembly.players.generator.network.parameters(), strict=True)
        found.append((any(not torch.equal(a, b) for a, b in weights), precision.scaler.get_scale() < scale))
    assert found == [(True, False), (False, True)]


def test_a_step_casts_by_five_launches(assembled):
    assembly = assembled(**{"engine.precision": "bf16", "generator.params.norm": "batch"})
    assembly.place.precision.together = True
    batches = assembly.trial()
    assembly.step(batches, 0)
    with Launches() as launches:
        assembly.step(batches, 1)
    # One cast of the generator and one of the discriminator in each turn; both learn; and one count of each pass.
    assert launches.count["_foreach_copy_"] == 3 + 2
    assert launches.count["_foreach_add_"] == 1 + 3 + 2  # and Adam's own, of each player
    images = 4 + 1  # what each pass is given, and what the generator makes
    assert launches.count["_to_copy"] <= 3 * images


class Odd(nn.Module):
    """Tied weights, a batch norm that is asked twice, a layer of another class, and one that is not asked."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.second.weight = self.first.weight
        self.norm, self.unused, self.cumulative = (
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 3, 1),
            nn.BatchNorm2d(3, momentum=None),
        )
        self.spectral = parametrizations.spectral_norm(nn.Conv2d(3, 3, 1))
        self.scaled = type("Scaled", (nn.Conv2d,), {})(3, 3, 1)

    def forward(self, image):
        image = self.norm(self.second(self.norm(self.first(image))))
        return self.cumulative(self.scaled(self.spectral(image)))


@pytest.fixture
def odd():
    torch.manual_seed(0)
    network = Odd()
    network.second.bias.requires_grad_(False)
    return network, torch.randn(2, 3, 4, 4)


def test_layers_that_do_more_with_their_weights_are_left_to_autocast(odd):
    network, _ = odd
    layers = {name.partition(".")[0] for name in FewerLaunches(network, BF16)._copies}
    assert layers == {"first", "second", "unused"}


def test_odd_networks_are_asked_to_the_same_effect(odd):
    plain, image = odd
    shared = copy.deepcopy(plain)
    with torch.autocast("cpu", BF16):
        expected, found = plain(image), FewerLaunches(shared, BF16)(image)
    assert torch.equal(expected, found)
    assert equal(plain.state_dict(), shared.state_dict())
    assert shared.norm.num_batches_tracked == 2
    for made in (expected, found):
        made.float().square().sum().backward()
    for (name, mine), theirs in zip(shared.named_parameters(), plain.parameters(), strict=True):
        assert isinstance(mine, nn.Parameter)
        assert (mine.grad is None) == (theirs.grad is None), name
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=0.02, atol=0.02)
    assert shared.second.bias.grad is None


def test_what_is_asked_first_without_history_is_learnt_from_all_the_same(odd):
    network, image = odd
    ask = FewerLaunches(network, BF16)
    with torch.autocast("cpu", BF16):
        with torch.no_grad():
            ask(image)
        ask(image).sum().backward()
    assert network.first.weight.grad is not None


def test_gradients_of_gradients_reach_the_weights(odd):
    network, _ = odd
    weight = network.first.weight
    found = FewerLaunches(network, BF16)._copies["first.weight"]
    (first,) = torch.autograd.grad(found.float().pow(3).sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), weight)
    torch.testing.assert_close(second, 6 * weight.detach().to(BF16).float(), rtol=0.02, atol=0.01)


def test_whom_launches_cost_nothing_is_asked_as_it_is():
    network = nn.Conv2d(3, 3, 1)
    assert Precision("bf16", CPU).asking(network) is network
    together = Precision("bf16", CPU)
    together.together = True
    assert isinstance(together.asking(network), FewerLaunches)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        shared = nn.parallel.DistributedDataParallel(network)  # gradients are exchanged as they come
        assert together.asking(shared) is shared
    finally:
        dist.destroy_process_group()
    network.compile(backend="eager")
    assert together.asking(network) is network


def test_gradient_shares_find_the_last_weight(assembled, monkeypatch):
    from p2pkit.engine.training import gradient_shares

    assembly = assembled(**{"engine.precision": "bf16"})
    found, last = [], gradient_shares.last_weight
    monkeypatch.setattr(gradient_shares, "last_weight", lambda fake: found.append(last(fake)) or found[-1])
    shares = GradientShares(assembly, None)
    shares._pairs = assembly.trial()[0]
    for assembly.place.precision.together in (False, True):
        shares()
    assert found[0] is found[1]
    assert assembly.place.precision.together
