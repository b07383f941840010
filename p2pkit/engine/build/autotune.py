"""What `auto` means for a run on this machine: measured once for its networks, and remembered."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from p2pkit.atomic_files import atomic_file, cache_folder
from p2pkit.config.model import EngineConfig
from p2pkit.engine.build.assembly import Assembly, assemble
from p2pkit.engine.build.graph_trial import why_not_capturable
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.device.choose import choose_device
from p2pkit.engine.device.precision import choose_precision
from p2pkit.engine.device.timing import describe, timed
from p2pkit.engine.distributed.world import world
from p2pkit.engine.step.cuda_graph import GraphedStep
from p2pkit.errors import DeviceError, Problem, StorageError
from p2pkit.untyped import Plain

TunedSettings = dict[str, str]
KEYS = ("convolutions", "precision", "memory_format", "compile")
WORTH_STEPS = 500
"""Runs shorter than this take the first choice of each key: measuring would cost them more than it saves."""
WORTH_COMPILING = 3600.0
COMPILED_BATCH = 16
"""Pairs from which on arithmetic takes longer than launching it, so that fused kernels may pay."""
BATCH = {"cpu": 4}
"""Pairs of the measured step at most: on a CPU larger batches take longer and say the same."""
CROWDED = 1.5
"""Load of each core from which on others use the machine too, and what was fastest says little of another day."""
GAIN = 0.97
"""Share of the best time so far that another choice must stay under, so that noise does not choose."""


def build_tuned(
    checked: ValidatedRun,
    steps: int,
    *,
    found: Mapping[str, str] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Assembly:
    """Settle how to train on this machine, and build a run so.

    Args:
        checked: The plan and its data.
        steps: Length of the run.
        found: What an earlier part of the run settled, which it then keeps.
        note: Hears what is measured, and what can't be had.

    Raises:
        DeviceError: The step has to be a CUDA graph and can't be.
    """
    engine = checked.plan.config.engine
    why_not = why_not_capturable(checked, engine)
    if why_not is not None and engine.cuda_graph == "on":
        raise DeviceError(Problem("engine.cuda_graph", f"on, but {why_not}", "write auto, or change the cause"))
    captured = why_not is None
    engine = autotune(checked, steps, captured=captured, note=note) if found is None else reuse_settings(engine, found)
    assembly = assemble(checked, engine)
    if why_not is None:
        return replace(assembly, update=GraphedStep(assembly.step), graph="active")
    if engine.cuda_graph == "auto" and assembly.place.device.type == "cuda":
        note(f"training without a CUDA graph: {why_not}")
    return replace(assembly, graph=f"off: {why_not}")


def autotune(
    checked: ValidatedRun, steps: int, *, captured: bool = False, note: Callable[[str], None] = lambda text: None
) -> EngineConfig:
    """Replace `auto` by what trains these networks fastest on this machine.

    Args:
        checked: The plan and its data.
        steps: Length of the run; a short one is not worth measuring for.
        captured: Whether the step will be a CUDA graph.
        note: Hears that something is being measured.

    Returns:
        The engine's config; `auto` is left in it where nothing was measured.
    """
    engine = checked.plan.config.engine
    choices = _choices(engine)
    if steps < WORTH_STEPS or not choices or world().several:  # several could come to different answers
        return engine
    file = cache_folder() / "fastest.json"
    known = _read(file)
    key = _key(checked, choices)
    if key not in known:
        crowded = _crowded()
        note("measuring once how these networks train fastest on this machine")
        known[key] = _fastest(checked, choices, steps, captured)
        fastest = ", ".join(f"{name} {value}" for name, value in known[key].items())
        note(f"fastest here: {fastest}" + " (not remembered, since others use this machine)" * crowded)
        if not crowded:
            _write(file, known)
    return engine.model_copy(update=known[key])


def tuned_settings(engine: EngineConfig, device: torch.device) -> TunedSettings:
    """Return what `settle` settled, for a checkpoint."""
    return {"device": device.type, **{key: getattr(engine, key) for key in KEYS}}


def reuse_settings(engine: EngineConfig, found: Mapping[str, str]) -> EngineConfig:
    """Give `auto` the meaning that an earlier part of the run gave it, where that was on such a device."""
    if found.get("device") != choose_device(engine.device).type:
        return engine
    open_keys = (key for key in KEYS if getattr(engine, key) == "auto" and key in found)
    return engine.model_copy(update={key: found[key] for key in open_keys})


def _choices(engine: EngineConfig) -> dict[str, tuple[str, ...]]:
    """List what is worth trying for each key that is open, what is taken without measuring first."""
    device = choose_device(engine.device)
    choices: dict[str, tuple[str, ...]] = {}
    if engine.convolutions == "auto" and device.type == "cpu" and engine.precision in ("auto", "fp32"):
        choices["convolutions"] = ("direct", "products")
    if engine.precision == "auto" and device.type in ("cpu", "cuda"):
        # A step of few pairs in fp32 is of fewer kernels than one in bf16, and a GPU has TF32.
        choices["precision"] = (choose_precision("auto", device).name, {"cpu": "bf16", "cuda": "fp32"}[device.type])
    if engine.memory_format == "auto" and device.type in ("cpu", "cuda"):
        choices["memory_format"] = ("channels_last", "contiguous")
    if engine.compile == "auto" and device.type == "cuda" and engine.batch >= COMPILED_BATCH:
        choices["compile"] = ("off", "on")
    return choices


def _fastest(
    checked: ValidatedRun, choices: Mapping[str, tuple[str, ...]], steps: int, captured: bool
) -> TunedSettings:
    """Try one key after the other, each with the best of those before it."""
    best = {key: values[0] for key, values in choices.items()}
    least = _seconds(checked, best, captured)
    for key, values in choices.items():
        if key == "compile" and least * steps < WORTH_COMPILING:
            continue
        for value in values[1:]:
            seconds = _seconds(checked, {**best, key: value}, captured, least)
            if seconds < least * GAIN:
                best, least = {**best, key: value}, seconds
    return best


def _seconds(checked: ValidatedRun, settings: TunedSettings, captured: bool, least: float = math.inf) -> float:
    """Time a step on random images; infinite where a setting does not work here."""
    try:
        engine = checked.plan.config.engine
        assembly = assemble(checked, engine.model_copy(update={**settings, "batch": _batch(engine)}))
        step = GraphedStep(assembly.step) if captured else assembly.step
        batches, device = assembly.trial(), assembly.place.device
        first = timed(lambda: step(batches, 0), device)
        if first > 4 * least and device.type == "cpu":
            return first
        for number in (*step.warm_up, 0) if isinstance(step, GraphedStep) else ():
            step(batches, number)
        return min(timed(lambda: step(batches, 0), device) for _ in range(5))
    except RuntimeError:
        if math.isinf(least):
            raise
        return math.inf


def _crowded() -> bool:
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > CROWDED * (os.cpu_count() or 1)


def _batch(engine: EngineConfig) -> int:
    return min(engine.batch, BATCH.get(choose_device(engine.device).type, engine.batch))


def _key(checked: ValidatedRun, choices: Plain) -> str:
    """Name the question: these networks and losses, at this size, on this machine."""
    device = choose_device(checked.plan.config.engine.device)
    config, engine = checked.plan.resolved(), checked.plan.config.engine
    networks = {key: config[key] for key in ("generator", "discriminator")}
    losses = {name: (loss["use"], loss["every"]) for name, loss in config["losses"].items()}
    size = (_batch(engine), engine.accumulate, str(checked.spec))
    text = json.dumps([describe(device), networks, losses, size, choices], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(file: Path) -> dict[str, TunedSettings]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(file: Path, known: Mapping[str, TunedSettings]) -> None:
    """Remember; a cache that can't be written costs the next run its measuring, not this one its training."""
    try:
        with atomic_file(file) as partial:
            partial.write_text(json.dumps(known, indent=1), encoding="utf-8")
    except StorageError:
        return
