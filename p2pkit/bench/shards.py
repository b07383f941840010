"""Time and weigh reading from shards, beside the cache."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch

from p2pkit.bench.reading import loader, open_shards
from p2pkit.children import environment
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.shard_writer import write_shards
from p2pkit.engine.device.timing import describe
from p2pkit.errors import DataError, Problem
from p2pkit.types import PairDataset
from p2pkit.untyped import Json

Row = dict[str, Json]


def bench_shards(
    dataset: PairDataset,
    *,
    batch: int = 4,
    encodings: Sequence[Literal["png", "raw"]] = ("raw", "png"),
    workers: Sequence[int] = (0,),
    rounds: int = 3,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Json]:
    """Write a data set's training pairs as shards, and read them in turn with the cache; no augmentation.

    Args:
        dataset: The pairs.
        batch: Pairs of a batch.
        encodings: How images lie in the shards.
        workers: Processes that read; 0 for this one.
        rounds: Epochs of each variant.
        note: Hears how it comes along.

    Returns:
        One object: the machine and a row for each variant, with the memory that a process of its own needs to read
        all pairs from shards.
    """
    facts: dict[str, Row] = {"cache": {}}
    with tempfile.TemporaryDirectory(prefix="p2pkit-bench-") as folder:
        note("reading into the cache")
        loaders = {"cache": loader(dataset, batch=batch)}
        for encoding in encodings:
            root = Path(folder, encoding)
            written = _write(dataset, root, encoding, note)
            for count in workers:
                name = f"{encoding}, {count} processes" if count else encoding
                note(f"{name}: reading all, for the memory")
                facts[name] = {**written, **_read_alone(root, batch, count)}
                loaders[name] = loader(open_shards(root), batch=batch, workers=count)
        rates = _interleaved(loaders, rounds, note)
    base = statistics.median(rates["cache"])
    rows = [_row(name, values, base, facts[name]) for name, values in rates.items()]
    images = dataset.spec
    about = {"pairs": len(dataset.pairs("train")), "batch": batch, "height": images.height, "width": images.width}
    return {"machine": describe(torch.device("cpu")), **about, "rows": rows}


def _write(dataset: PairDataset, root: Path, encoding: Literal["png", "raw"], note: Callable[[str], None]) -> Row:
    note(f"writing shards, {encoding}")
    begun = time.perf_counter()
    index, _ = write_shards(dataset, root, splits=("train",), encoding=encoding)
    shards = index.splits["train"]
    rate = sum(shard.pairs for shard in shards) / (time.perf_counter() - begun)
    return {"bytes": sum(shard.bytes or 0 for shard in shards), "written_per_second": rate}


def _read_alone(root: Path, batch: int, workers: int) -> Row:
    command = [sys.executable, "-m", "p2pkit.bench.reading", str(root), str(batch), str(workers)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(Problem(str(root), f"can't be read in a process of its own: {done.stderr.strip()[-500:]}"))
    read: Row = json.loads(done.stdout)
    return read


def _interleaved(loaders: dict[str, Loader], rounds: int, note: Callable[[str], None]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        for name, each in loaders.items():
            begun = time.perf_counter()
            pairs = sum(len(batch.source) for batch in each.epoch(number))
            rates[name].append(pairs / (time.perf_counter() - begun))
    return rates


def _row(name: str, rates: list[float], base: float, facts: Row) -> Row:
    median = statistics.median(rates)
    return {
        "variant": name,
        "pairs_per_second": median,
        "spread": [min(rates), max(rates)],
        "ratio": median / base,
        **facts,
    }
