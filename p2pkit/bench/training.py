"""Time the training step: this recipe's, and the textbook's, in turn and in one process."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from p2pkit.bench.eager import EagerStep
from p2pkit.bench.machine import ceiling
from p2pkit.config import Plan
from p2pkit.engine.assemble import Assembly, assemble
from p2pkit.engine.check import Checked
from p2pkit.engine.data import Batch, Loader
from p2pkit.engine.machine import describe, timed
from p2pkit.engine.stored import Cached
from p2pkit.errors import ConfigError, Problem
from p2pkit.types import ImageSpec, PairDataset, PairSpec

Row = dict[str, Any]


class _Noise:
    """A stand-in for the recipe's data: random images of its size, so that no file is needed."""

    splits: tuple[str, ...] = ("train",)

    def __init__(self, side: int) -> None:
        self.spec = PairSpec(ImageSpec(3), ImageSpec(3), side, side)

    def pairs(self, split: str) -> Sequence[Any]:
        """Return nothing: batches come from a cache that is filled at once."""
        return ()


def bench(
    plans: Callable[[int, str], Plan],
    *,
    batches: Sequence[int],
    precisions: Sequence[str],
    seconds: float = 20.0,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure a recipe's training step against the textbook step.

    Args:
        plans: Gives the recipe's plan for a batch size and a precision.
        batches: Batch sizes.
        precisions: `auto`, `fp32`, `bf16`, `fp16`.
        seconds: About how long to measure for each batch size and precision.
        note: Hears how it comes along.

    Returns:
        One object: the machine, its ceiling, and a row for each batch size, precision and variant.

    Raises:
        ConfigError: The recipe has no adversarial term, so there is no textbook step to compare with.
    """
    rows: list[Row] = []
    ceilings: dict[str, float] = {}
    device = torch.device("cpu")
    for batch in batches:
        for wanted in precisions:
            assembly = _assembly(plans(batch, wanted))
            device, precision = assembly.place.device, assembly.place.precision.name
            ceilings.setdefault(precision, ceiling(device, precision))
            ceilings.setdefault("fp32", ceiling(device, "fp32"))
            note(f"batch {batch}, {precision}, on {device}")
            rows += _rows(assembly, batch, seconds, ceilings)
    return {"machine": describe(device), "ceiling_tflops": ceilings, "rows": rows}


def _assembly(plan: Plan) -> Assembly:
    if plan.problems:
        raise ConfigError(plan.problems)
    params = plan.resolved()["dataset"]["params"]
    side = params.get("size") or 256
    dataset: PairDataset = _Noise(side if isinstance(side, int) else side[0])
    assembly = assemble(Checked(plan, dataset, "train", adversarial=True))
    if not assembly.step.objective.adversarial:
        raise ConfigError(Problem("losses", "the textbook step is adversarial, this recipe is not"))
    return assembly


def _rows(assembly: Assembly, batch: int, seconds: float, ceilings: dict[str, float]) -> list[Row]:
    device = assembly.place.device
    feed = _feed(assembly, batch)
    eager = _eager(assembly)
    numbers = iter(range(10**9))

    def ours() -> None:
        pair = next(feed)
        assembly.step([(pair.source, pair.target)], next(numbers))

    def textbook() -> None:
        pair = next(feed)
        eager(pair.source.contiguous(), pair.target.contiguous())

    flops = _flops(textbook)
    timings = _interleaved({"p2pkit": ours, "eager": textbook}, device, seconds)
    names = {"p2pkit": assembly.place.precision.name, "eager": "fp32"}
    base = statistics.median(timings["eager"])
    rows = []
    for variant, times in timings.items():
        median = statistics.median(times)
        rate = flops / median / 1e12
        rows.append(
            {
                "device": device.type,
                "batch": batch,
                "precision": names[variant],
                "variant": variant,
                "images_per_second": batch / median,
                "spread": [batch / max(times), batch / min(times)],
                "ratio": base / median,
                "step_seconds": median,
                "tflops": rate,
                "share_of_ceiling": rate / ceilings[names[variant]],
            }
        )
    rows[0]["parts"] = _parts(assembly, batch)
    rows[0]["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return rows


def _feed(assembly: Assembly, batch: int) -> Iterator[Batch]:
    """Yield batches for ever, through the recipe's own loader and augmentations."""
    images = assembly.checked.images
    wanted = (getattr(augmentation, "loads", None) for augmentation in assembly.augmentations)
    height, width = next((size for size in wanted if size), (images.height, images.width))
    count = max(2 * batch, 8)
    source, target = (torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8) for _ in range(2))
    stored = Cached([str(index) for index in range(count)], source, target)
    loader = Loader(
        stored, images, batch=batch, place=assembly.place, augmentations=assembly.augmentations, shuffle=True
    )
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def _eager(assembly: Assembly) -> EagerStep:
    """Build the same networks anew, in the plain layout."""
    plan, images, device = assembly.checked.plan, assembly.checked.images, assembly.place.device
    assert plan.generator is not None
    assert plan.discriminator is not None
    return EagerStep(plan.generator.build(images).to(device), plan.discriminator.build(images).to(device))


def _flops(step: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def _interleaved(
    variants: dict[str, Callable[[], None]], device: torch.device, seconds: float
) -> dict[str, list[float]]:
    """Time the variants in turn, so that a machine whose speed drifts treats them alike."""
    for act in variants.values():
        for _ in range(3):
            timed(act, device)
    times: dict[str, list[float]] = {name: [] for name in variants}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or len(times["eager"]) < 5:
        for name, act in variants.items():
            times[name].append(timed(act, device))
    return times


def _parts(assembly: Assembly, batch: int) -> dict[str, float]:
    """Split a step's time, in seconds; measured apart, since looking costs time itself."""
    device, step = assembly.place.device, assembly.step
    clock = _Clock(device)
    feed = _feed(assembly, batch)
    rounds = 5
    clock.wrap(step, "_generate", "forward")
    clock.wrap(step, "_update", "optimiser")
    clock.wrap(step.objective, "total", "losses_and_verdicts")
    for number in range(rounds):
        pair = clock.time("data", functools.partial(next, feed))
        clock.time("step", functools.partial(step, [(pair.source, pair.target)], number))
    clock.unwrap()
    spent = {name: value / rounds for name, value in clock.spent.items()}
    whole = spent.pop("step")
    known = sum(value for name, value in spent.items() if name != "data")
    return {**spent, "backward_and_rest": whole - known}


class _Clock:
    """Takes the time of named pieces of work, by wrapping methods where they are not called from here."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent: dict[str, float] = {}
        self._wrapped: list[tuple[Any, str]] = []

    def time(self, name: str, act: Callable[[], Any]) -> Any:
        """Do some work, and add its seconds to what the name has."""
        result: list[Any] = []
        self.spent[name] = self.spent.get(name, 0.0) + timed(lambda: result.append(act()), self.device)
        return result[0]

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Take the time of every call of a method."""
        original = getattr(owner, method)
        setattr(owner, method, lambda *arguments: self.time(name, lambda: original(*arguments)))
        self._wrapped.append((owner, method))

    def unwrap(self) -> None:
        """Leave the methods as they were."""
        for owner, method in self._wrapped:
            delattr(owner, method)
