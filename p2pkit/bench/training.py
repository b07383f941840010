"""Time the training step: this recipe's, and what it is measured against, in turn and in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from p2pkit.bench.machine import ceiling, memory, peak_memory
from p2pkit.bench.step_profile import parts
from p2pkit.bench.synthetic_run import feed, trial
from p2pkit.bench.textbook_step import EagerStep
from p2pkit.config import Plan
from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.engine.device.timing import describe, timed
from p2pkit.errors import ConfigError, Problem
from p2pkit.untyped import Json, Plain

Row = dict[str, Json]
Plans = Callable[[int, str, Plain], Plan]
OURS, EAGER = "p2pkit", "eager"
_AT_ONCE = {"cuda": 10}
"""Steps timed together: on a GPU the host runs ahead of the device, as in a training."""


@dataclass(frozen=True)
class _Variant:
    """One way to take a step.

    Args:
        name: `p2pkit`, `eager`, or the setting that makes it another one.
        act: Takes a step on the next batch.
        facts: Precision, layout, and whether it is a CUDA graph.
        peak: Most bytes that it needs.
    """

    name: str
    act: Callable[[], object]
    facts: Plain
    peak: int


def bench(
    plans: Plans,
    *,
    batches: Sequence[int],
    precisions: Sequence[str],
    against: Sequence[str] = (EAGER,),
    seconds: float = 20.0,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Json]:
    """Measure a recipe's training step against others.

    Args:
        plans: Gives the recipe's plan for a batch size, a precision and further settings.
        batches: Batch sizes.
        precisions: `auto`, `fp32`, `bf16`, `fp16`.
        against: `eager`, the textbook step, or settings like `engine.compile=on`; ratios are to the first.
        seconds: About how long to measure for each batch size and precision.
        note: Hears how it comes along.

    Returns:
        One object: the machine, its ceiling, and a row for each device, batch size, precision and variant.

    Raises:
        ConfigError: The recipe has no adversarial term, so there is no textbook step to compare with.
    """
    rows: list[Row] = []
    ceilings: dict[str, float] = {}
    device = torch.device("cpu")
    for batch in batches:
        for wanted in precisions:
            before = memory()
            assembly = trial(plans(batch, wanted, {}))
            if not assembly.step.objective.adversarial:
                raise ConfigError(Problem("losses", "the textbook step is adversarial, this recipe is not"))
            device = assembly.place.device
            note(f"batch {batch}, {wanted}, on {device}")
            variants = [_variant(OURS, assembly, before=before)]
            variants += [_other(name, plans, batch, wanted) for name in against]
            flops = _flops(_textbook(_plain(plans, batch)))
            for precision in (variant.facts["precision"] for variant in variants):
                if precision not in ceilings:
                    ceilings[precision] = ceiling(device, precision)
            timings = _interleaved(variants, device, seconds)
            rows += _rows(variants, timings, batch, flops, ceilings, device)
            with keep_freed_memory():
                rows[-len(variants)]["parts"] = parts(assembly)
    return {"machine": describe(device), "ceiling_tflops": ceilings, "rows": rows}


def _other(name: str, plans: Plans, batch: int, precision: str) -> _Variant:
    """Build what is measured against: the textbook step, or the recipe with another setting."""
    before = memory()
    if name == EAGER:
        assembly = _plain(plans, batch)
        return _variant(name, assembly, _textbook(assembly), before=before)
    key, _, value = name.partition("=")
    return _variant(name, trial(plans(batch, precision, {key: value})), before=before)


def _plain(plans: Plans, batch: int) -> Assembly:
    off = dict.fromkeys(("engine.compile", "engine.cuda_graph"), "off")
    plain = {"engine.convolutions": "direct", "engine.memory_format": "contiguous", **off}
    return trial(plans(batch, "fp32", plain))


def _variant(name: str, assembly: Assembly, act: Callable[[], None] | None = None, *, before: int) -> _Variant:
    act = act or _whole(assembly)
    facts = {
        key: assembly.facts()[key] for key in ("precision", "convolutions", "channels_last", "compile", "cuda_graph")
    }
    return _Variant(name, act, facts, peak_memory(act, assembly.place.device) - before)


def _whole(assembly: Assembly) -> Callable[[], None]:
    """Return the recipe's own step, fed by its own loader."""
    batches, numbers = feed(assembly), iter(range(10**9))

    def act() -> None:
        group = [next(batches) for _ in range(assembly.batches_per_step)]
        assembly.update([(batch.source, batch.target) for batch in group], next(numbers))

    return act


def _textbook(assembly: Assembly) -> Callable[[], None]:
    """Return the textbook step on the same networks."""
    plan, images, device = assembly.checked.plan, assembly.checked.spec, assembly.place.device
    networks = (plan.part(player).build(images).to(device) for player in ("generator", "discriminator"))
    step = EagerStep(*networks)
    batches = feed(assembly)

    def act() -> None:
        pair = next(batches)
        step(pair.source, pair.target)

    return act


def _flops(step: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def _interleaved(variants: Sequence[_Variant], device: torch.device, seconds: float) -> list[list[float]]:
    """Time the variants in turn, so that a machine whose speed drifts treats them alike.

    Each has its own way with memory, and takes a step before the clock starts, so that it finds memory as it left it.
    """
    at_once = _AT_ONCE.get(device.type, 1)

    def some(variant: _Variant) -> None:
        for _ in range(at_once):
            variant.act()

    for variant in variants:
        for _ in range(5 if device.type == "cuda" else 2):
            timed(variant.act, device)
    times: list[list[float]] = [[] for _ in variants]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or len(times[0]) < 5:
        for variant, own in zip(variants, times, strict=True):
            with keep_freed_memory(variant.name != EAGER):
                variant.act()
                own.append(timed(lambda variant=variant: some(variant), device) / at_once)  # type: ignore[misc]  # a closure
    return times


def _rows(
    variants: Sequence[_Variant],
    timings: Sequence[Sequence[float]],
    batch: int,
    flops: int,
    ceilings: Mapping[str, float],
    device: torch.device,
) -> Iterator[Row]:
    base = statistics.median(timings[1] if len(timings) > 1 else timings[0])
    for variant, times in zip(variants, timings, strict=True):
        median = statistics.median(times)
        rate = flops / median / 1e12
        yield {
            "device": device.type,
            "batch": batch,
            "variant": variant.name,
            **variant.facts,
            "images_per_second": batch / median,
            "spread": [batch / max(times), batch / min(times)],
            "ratio": base / median,
            "step_seconds": median,
            "tflops": rate,
            "share_of_ceiling": rate / ceilings[variant.facts["precision"]],
            "peak_memory_bytes": variant.peak,
        }
