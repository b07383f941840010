"""The step on a GPU: the same numbers as on the CPU, and never waiting for the host."""

from __future__ import annotations

import pytest
import torch

from p2pkit.engine.step.cuda_graph import sync_debug

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = {"engine.device": "cuda"}


def moved(data, device):
    return [(source.to(device), target.to(device)) for source, target in data]


@pytest.mark.numbers
def test_fp32_equals_the_cpu(assembled, batches):
    here, there = assembled(), assembled(**CUDA, **{"engine.precision": "fp32"})
    data = batches(here)
    there.players.generator.network.load_state_dict(here.players.generator.network.state_dict())
    there.players.discriminator.network.load_state_dict(here.players.discriminator.network.state_dict())
    for number, (batch, on_device) in enumerate(zip(data, moved(data, "cuda"), strict=True)):
        expected, found = here.step([batch], number), there.step([on_device], number)
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value.item(), rel=5e-3, abs=1e-3), name


@pytest.mark.numbers
@pytest.mark.parametrize("arithmetic", ["fp32", "bf16", "fp16"])
def test_every_precision_trains(assembled, batches, arithmetic):
    assembly = assembled(**CUDA, **{"engine.precision": arithmetic, "engine.clip": 1.0, "engine.ema": 0.9})
    data = moved(batches(assembled()), "cuda")
    scalars = [assembly.step([data[number % len(data)]], number) for number in range(20)]
    totals = [step["train/generator/total"].item() for step in scalars]
    assert all(torch.isfinite(torch.tensor(totals)))
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("arithmetic", ["fp32", "bf16"])
def test_the_step_never_waits_for_the_device(assembled, batches, arithmetic):
    options = {"engine.precision": arithmetic, "engine.clip": 1.0, "engine.ema": 0.9, "losses.r1": {"every": 2}}
    assembly = assembled(**CUDA, **options)
    data = moved(batches(assembled()), "cuda")
    assembly.step([data[0]], 0)
    torch.cuda.synchronize()
    with sync_debug("error"):
        for number, batch in enumerate(data):
            assembly.step([batch], number + 1)


def test_whole_runs_on_the_device(work):
    outcome = work(**CUDA, augment=["flip"]).train()
    assert outcome.progress.step == 6
    assert outcome.report is not None
