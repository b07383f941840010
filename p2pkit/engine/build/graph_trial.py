"""Whether a run's step can be one CUDA graph: tried on a second, short-lived assembly."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from p2pkit.config.model import EngineConfig
from p2pkit.engine.build.assembly import Assembly, assemble
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.device.choose import choose_device
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.cuda_graph import GraphedStep, sync_debug
from p2pkit.engine.step.forward import PairTensors
from p2pkit.errors import first_line


def why_not_capturable(checked: ValidatedRun, engine: EngineConfig) -> str | None:
    """Say why a run's step can't be one CUDA graph; None if it can.

    The step of a second, short-lived assembly is tried, so that a component that can't be captured leaves no trace
    in the run.

    Args:
        checked: The plan and its data.
        engine: The engine's config in force.
    """
    device = choose_device(engine.device)
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    if engine.cuda_graph == "off":
        return "engine.cuda_graph is off"
    if world().several:
        return "gradients are exchanged with other processes"
    assembly = assemble(checked, engine)
    for phase in checked.plan.phases:
        if phase.count > 1:
            assembly = assembly.enter(phase)
        if reason := _tried(assembly):
            return f"{phase}: {reason}" if phase.count > 1 else reason
    return None


def _tried(assembly: Assembly) -> str | None:
    """Take some steps on random images, first watching for waits, then captured."""
    step = GraphedStep(assembly.step)
    batches = assembly.trial()
    waits = _waits(step, batches)
    if waits:
        return f"a component waits for the device ({waits})"
    for number in step.warm_up:  # what fails here fails without a graph too
        step(batches, number)
    try:
        for number in step.examples:
            step(batches, number)
        torch.cuda.synchronize()
    except RuntimeError as error:
        short = isinstance(error, torch.OutOfMemoryError)
        why = "there is too little memory for its graph" if short else "the step can't be captured"
        return f"{why} ({first_line(error)})"
    return None


def _waits(step: GraphedStep, batches: Sequence[PairTensors]) -> str:
    """Return what torch says of a step in which the host waits for the device, empty where it does not."""
    step.step(batches, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with sync_debug("warn"):
            step.step(batches, 0)
    return next((str(found.message) for found in caught if "synchroniz" in str(found.message)), "")
