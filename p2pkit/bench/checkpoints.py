"""Time the writing of checkpoints: how long the loop stands still, beside torch's distributed checkpoints."""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from p2pkit.bench.synthetic_run import trial
from p2pkit.config import Plan
from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.device.timing import describe
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.training.checkpointing import save_checkpoint, training_tensors
from p2pkit.untyped import Json

Ended = Callable[[], object]
"""Waits until what was begun is on the disk."""


@dataclass
class _Times:
    """Seconds of each round, by clock and of the processor."""

    still: list[float] = field(default_factory=list)
    still_processor: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def bench_checkpoint(
    plan: Plan, *, rounds: int = 3, note: Callable[[str], None] = lambda text: None
) -> dict[str, Json]:
    """Write a recipe's checkpoint in turn as a run does, and by torch's own writer, at once and in the background.

    Args:
        plan: The recipe; a step is taken, so that its optimisers have moments.
        rounds: How often each variant writes it; the first time does not count.
        note: Hears how it comes along.

    Returns:
        One object: the machine and a row for each variant. The loop stands still until the call returns; the whole
        ends when all is on the disk. The ratio is that of checkpoints in the time for which the loop stands still.
    """
    note("taking a step")
    assembly = trial(plan)
    assembly.update(assembly.trial(), 0)
    tensors = training_tensors(assembly, ())
    times = {"p2pkit": _Times(), "dcp": _Times(), "dcp async": _Times()}
    with tempfile.TemporaryDirectory(prefix="p2pkit-bench-", dir=Path.cwd()) as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process is what is measured
        folder = Path(name)
        for number in range(rounds + 1):
            note(f"round {number} of {rounds}")
            for variant, begin in _variants(assembly, plan, tensors, folder, number).items():
                with _measured(times[variant] if number else _Times()) as still:
                    ended = begin()
                    still()
                    ended()
    base = statistics.median(times["p2pkit"].still)
    size = sum(tensor.nbytes for tensor in tensors.values())
    rows = [_row(variant, each, base) for variant, each in times.items()]
    return {"machine": describe(assembly.place.device), "megabytes": round(size / 1e6), "rows": rows}


def _variants(
    assembly: Assembly, plan: Plan, tensors: Mapping[str, Tensor], folder: Path, number: int
) -> dict[str, Callable[[], Ended]]:
    from torch.distributed.checkpoint.state_dict_saver import async_save, save

    def ours() -> Ended:
        save_checkpoint(folder / "p2pkit", assembly, Progress(number), plan.resolved())
        return lambda: None

    def at_once() -> Ended:
        save(dict(tensors), checkpoint_id=folder / f"dcp-{number}", no_dist=True)
        return lambda: None

    def in_the_background() -> Ended:
        begun = async_save(dict(tensors), checkpoint_id=folder / f"async-{number}", no_dist=True)
        return begun.result if isinstance(begun, Future) else begun.upload_completion.result

    return {"p2pkit": ours, "dcp": at_once, "dcp async": in_the_background}


@contextmanager
def _measured(times: _Times) -> Iterator[Callable[[], None]]:
    """Context of one writing; gives what is called once the loop would go on."""
    clock, processor = time.perf_counter(), time.process_time()

    def still() -> None:
        times.still.append(time.perf_counter() - clock)
        times.still_processor.append(time.process_time() - processor)

    yield still
    times.whole.append(time.perf_counter() - clock)
    times.processor.append(time.process_time() - processor)


def _row(variant: str, times: _Times, base: float) -> dict[str, Json]:
    rates = [1 / seconds for seconds in times.still]
    return {
        "variant": variant,
        "checkpoints_per_second": statistics.median(rates),
        "spread": [min(rates), max(rates)],
        "ratio": base / statistics.median(times.still),
        "still_ms": 1e3 * statistics.median(times.still),
        "still_processor_ms": 1e3 * statistics.median(times.still_processor),
        "whole_ms": 1e3 * statistics.median(times.whole),
        "processor_ms": 1e3 * statistics.median(times.processor),
    }
