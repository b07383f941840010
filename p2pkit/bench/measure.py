"""What is measured of a recipe or a data set, from its name to the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from p2pkit.api import check
from p2pkit.bench.checkpoints import bench_checkpoint
from p2pkit.bench.loader import bench_loader
from p2pkit.bench.shards import bench_shards
from p2pkit.bench.training import bench
from p2pkit.bench.translating import bench_translate
from p2pkit.config import Plan
from p2pkit.engine.check import open_dataset
from p2pkit.planning import plan_run
from p2pkit.registry import Registry, load_registry
from p2pkit.sharding import plan_data
from p2pkit.untyped import Json, Plain


def measure(
    recipe: str,
    *,
    batches: Sequence[int] = (1, 4, 16, 64),
    precisions: Sequence[str] = ("auto",),
    against: Sequence[str] = ("eager",),
    seconds: float = 30.0,
    data: Path | None = None,
    workers: int = 2,
    device: str = "auto",
    registry: Registry | None = None,
    note: Callable[[str], None] = lambda text: None,
    **overrides: Json,
) -> dict[str, Json]:
    """Measure how fast a recipe trains here; see `p2pkit.bench`.

    Args:
        recipe: A recipe's name, or a YAML file; its data is replaced by noise of the same size.
        batches: Batch sizes.
        precisions: `auto`, `fp32`, `bf16`, `fp16`.
        against: `eager`, the textbook step, or settings like `engine.compile=on`; ratios are to the first.
        seconds: About how long to measure for each.
        data: Side-by-side files, to measure the loader too.
        workers: Processes of the loader that ours is compared with.
        device: Where.
        registry: The names in force.
        note: Hears how it comes along.
        **overrides: Keys to change, as in `train`.

    Returns:
        One object: machine, ceiling, rows, and the loader's rates where data is given.
    """
    registry = registry or load_registry()

    def planned(batch: int, precision: str, settings: Plain) -> Plan:
        own = {"engine.batch": batch, "engine.precision": precision, "engine.device": device}
        return plan_run(recipe, {**overrides, **own, **settings}, registry)

    measured = bench(planned, batches=batches, precisions=precisions, against=against, seconds=seconds, note=note)
    if data is not None:
        note(f"loader, {data}")
        own = {"engine.batch": batches[-1], "engine.device": device, "dataset.params.root": str(data)}
        checked = check(recipe, registry=registry, **{**overrides, **own})
        measured["loader"] = bench_loader(checked, data, workers=workers)
    return measured


def measure_translation(
    recipe: str,
    *,
    side: int = 256,
    images: int = 32,
    batches: Sequence[int] = (1, 8),
    rounds: int = 3,
    device: str = "auto",
    runtimes: Sequence[str] = (),
    registry: Registry | None = None,
    note: Callable[[str], None] = lambda text: None,
    **overrides: Json,
) -> dict[str, Json]:
    """Measure how fast a recipe's generator translates a folder here; see `p2pkit.bench.bench_translate`.

    Args:
        recipe: A config's file or name.
        side: The height and width of the images, in pixels.
        images: How many there are in the folder.
        batches: How many are translated at once; each is a row.
        rounds: How often each row is measured.
        device: Where to compute.
        runtimes: What computes beside torch; each has rows of its own.
        registry: The names in force.
        note: Hears what is being measured.
        **overrides: Keys of the config to change.
    """
    plan = plan_run(recipe, {**overrides, "engine.device": device}, registry)
    return bench_translate(plan, side=side, images=images, batches=batches, rounds=rounds, runtimes=runtimes, note=note)


def measure_checkpoint(
    recipe: str,
    *,
    rounds: int = 3,
    device: str = "auto",
    registry: Registry | None = None,
    note: Callable[[str], None] = lambda text: None,
    **overrides: Json,
) -> dict[str, Json]:
    """Measure how long a recipe's training stands still for a checkpoint; see `p2pkit.bench.bench_checkpoint`.

    Args:
        recipe: A config's file or name.
        rounds: How often each row is measured.
        device: Where to compute.
        registry: The names in force.
        note: Hears what is being measured.
        **overrides: Keys of the config to change.
    """
    plan = plan_run(recipe, {**overrides, "engine.device": device}, registry)
    return bench_checkpoint(plan, rounds=rounds, note=note)


def measure_shards(
    dataset: str | Path | Plain,
    *,
    batch: int = 4,
    encodings: Sequence[Literal["png", "raw"]] = ("raw", "png"),
    workers: Sequence[int] = (0,),
    rounds: int = 3,
    registry: Registry | None = None,
    note: Callable[[str], None] = lambda text: None,
    **overrides: Json,
) -> dict[str, Json]:
    """Measure how fast pairs are read from shards here, and in what memory; see `p2pkit.bench.bench_shards`.

    Args:
        dataset: A data set, or a config that has one; its training pairs are read.
        batch: How many pairs are read at once.
        encodings: How the shards' images are stored; each is a row.
        workers: By how many processes they are read; each is a row.
        rounds: How often each row is measured.
        registry: The names in force.
        note: Hears what is being measured.
        **overrides: Keys of the config to change.
    """
    opened = open_dataset(plan_data(dataset, overrides, registry))
    return bench_shards(opened, batch=batch, encodings=encodings, workers=workers, rounds=rounds, note=note)
