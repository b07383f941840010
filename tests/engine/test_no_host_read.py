"""The step asks nothing of the device: on a GPU each such question would stop the host, and forbid a CUDA graph."""

from __future__ import annotations

import pytest

from p2pkit.testing.host_reads import HostRead, no_host_read

WGAN = {"losses.gan.params.mode": "wgan"}
OPTIONS = {
    "plain": {},
    "bf16": {"engine.precision": "bf16"},
    "products": {"engine.convolutions": "products"},
    "contiguous": {"engine.memory_format": "contiguous"},
    "clip and average": {"engine.clip": 1.0, "engine.ema": 0.9},
    "accumulate": {"engine.accumulate": 2},
    "generator first": {"engine.order": "generator_first"},
    "adamw": {"optimizers.generator.use": "adamw"},
    "deterministic": {"engine.deterministic": True},
    "every": {"losses.l1": {"weight": 100, "every": 3}},
    "no adversary": {"losses.gan.weight": 0},
    "r1": {"losses.r1": 1},
    "wgan-gp": {**WGAN, "losses.gradient_penalty": 10},
    "hinge": {"losses.gan.params.mode": "hinge"},
    "vanilla": {"losses.gan.params.mode": "vanilla"},
    "features": {"losses.feature_matching": 10},
    "total variation": {"losses.total_variation": 1},
    "charbonnier": {"losses.charbonnier": 1},
    "ssim": {"losses.ssim": 1},
    "spectral": {"discriminator.params.spectral_norm": True},
    "instance": {"discriminator.params.norm": "instance"},
    "group": {"discriminator.params.norm": "group"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_the_step_reads_nothing_on_the_host(assembled, option):
    assembly = assembled(**OPTIONS[option])
    batches = assembly.trial()
    assembly.step(batches, 0)  # moments are made
    with no_host_read():
        assembly.step(batches, 1)
        assembly.step(batches, 12)  # every term is due


def test_a_step_that_does_is_found(assembled, monkeypatch):
    from p2pkit.builtin.losses.distances import Distance

    assembly = assembled()
    measure = Distance.generator
    monkeypatch.setattr(Distance, "generator", lambda self, view: measure(self, view) * (view.fake.max().item() > -2))
    with no_host_read(), pytest.raises(HostRead):
        assembly.step(assembly.trial(), 0)
