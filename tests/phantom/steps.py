"""Run on the phantom: captures a tiny step with each setting and prints what was counted of it, as JSON lines."""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path

import on_phantom
import yaml
from runs import checked

from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.build.graph_trial import why_not_capturable
from p2pkit.engine.step.cuda_graph import GraphedStep

SETTINGS = yaml.safe_load((Path(__file__).parent / "steps.yaml").read_text(encoding="utf-8"))["steps"]


def counted(settings: dict[str, object]) -> dict[str, object]:
    """Capture a step, and count what the graphs hold and what a replayed step leaves outside."""
    run = checked(settings)
    why_not = why_not_capturable(run, run.plan.config.engine)
    if why_not is not None:
        return {"why_not": why_not}
    assembly = assemble(run)
    step, batches = GraphedStep(assembly.step), assembly.trial()
    for number in step.warm_up:
        step(batches, number)
    with on_phantom.Traffic() as traffic:
        assembly.step(batches, step.examples[-1])
    nodes = []
    for number in step.examples:
        step(batches, number)
        nodes.append(on_phantom.nodes())
    # One that follows another, as in a run: else its number would be written anew.
    number = step.examples[-1] + math.lcm(*step.periods)
    step(batches, number - 1)
    on_phantom.reset()
    step(batches, number)
    found = on_phantom.counters()
    outside = found["launches"] + found["calls"] + found["copies"]
    megabytes = round(traffic.bytes / 1e6, 1)
    return {
        "nodes": nodes,
        "megabytes": megabytes,
        "outside": outside,
        "waits": found["waits"],
        "graphs": found["graphs"],
    }


if __name__ == "__main__":
    with on_phantom.leaving():
        on_phantom.pretend()
        for name, each in SETTINGS.items():
            if name not in (sys.argv[1:] or SETTINGS):
                continue
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    row = counted(each["settings"])
                except Exception as error:
                    row = {"why_not": f"{type(error).__name__}: {error}"}
            said = sorted({str(each.message).partition("\n")[0] for each in caught})
            print(json.dumps({"name": name, **row, "warnings": said}), flush=True)
