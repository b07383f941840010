"""Run on the phantom: captures a tiny step with each setting and prints what was counted of it, as JSON lines."""

from __future__ import annotations

import json
import warnings

import on_phantom
from runs import checked

from p2pkit.engine.assemble import assemble
from p2pkit.engine.graphs import GraphedStep, obstacle

LARGER = {"dataset.params.size": 32}
SETTINGS = {
    "plain": {},
    "fp32": {"engine.precision": "fp32"},
    "fp16": {"engine.precision": "fp16"},
    "fp16 clip": {"engine.precision": "fp16", "engine.clip": 1.0},
    "ema": {"engine.ema": 0.9},
    "accumulate": {"engine.accumulate": 2},
    "clip": {"engine.clip": 0.1},
    "every": {"losses.l1": {"weight": 100, "every": 3}},
    "r1": {"losses.r1": {"weight": 1, "every": 4}},
    "no adversary": {"losses.gan.weight": 0},
    "generator first": {"engine.order": "generator_first"},
    "adamw": {"optimizers.generator.use": "adamw"},
    "deterministic": {"engine.deterministic": True},
    "contiguous": {"engine.memory_format": "contiguous"},
    "hinge": {"losses.gan.params.mode": "hinge"},
    "vanilla": {"losses.gan.params.mode": "vanilla"},
    "wgan_gp": {"losses.gan.params.mode": "wgan", "losses.gradient_penalty": {"weight": 10}},
    "feature_matching": {"losses.feature_matching": {"weight": 10}},
    "total_variation": {"losses.total_variation": {"weight": 1}},
    "l2": {"losses.l2": {"weight": 1}},
    "charbonnier": {"losses.charbonnier": {"weight": 1}},
    "ssim": {"losses.ssim": {"weight": 1}, **LARGER},
    "multiscale": {
        "discriminator": {"use": "multiscale", "params": {"layers": 1, "width": 8, "scales": 2}},
        **LARGER,
    },
    "spectral": {"discriminator.params.spectral_norm": True},
    "instance": {"discriminator.params.norm": "instance"},
    "group": {"discriminator.params.norm": "group"},
}


def counted(settings: dict[str, object]) -> dict[str, object]:
    """Capture a step, and count what the graphs hold and what a replayed step leaves outside."""
    run = checked(settings)
    why_not = obstacle(run, run.plan.config.engine)
    if why_not is not None:
        return {"why_not": why_not}
    assembly = assemble(run)
    step, batches = GraphedStep(assembly.step), assembly.trial()
    for number in step.warm_up:
        step(batches, number)
    nodes = []
    for number in step.examples:
        step(batches, number)
        nodes.append(on_phantom.nodes())
    on_phantom.reset()
    step(batches, step.examples[-1])
    found = on_phantom.counters()
    outside = found["launches"] + found["calls"] + found["copies"]
    return {"nodes": nodes, "outside": outside, "waits": found["waits"], "graphs": found["graphs"]}


if __name__ == "__main__":
    with on_phantom.leaving():
        on_phantom.pretend()
        for name, settings in SETTINGS.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    row = counted(settings)
                except Exception as error:
                    row = {"why_not": f"{type(error).__name__}: {error}"}
            said = sorted({str(each.message).partition("\n")[0] for each in caught})
            print(json.dumps({"name": name, **row, "warnings": said}), flush=True)
