"""Read all pairs of some shards in a process of its own, to see what memory that takes."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import psutil
import torch

from p2pkit.config import load_config, resolve
from p2pkit.engine.check import open_dataset
from p2pkit.engine.data import Loader, prepare
from p2pkit.engine.precision import Place, Precision
from p2pkit.registry import load_registry
from p2pkit.types import PairDataset


def open_shards(root: Path) -> PairDataset:
    """Open shards by the built-in data set."""
    config = {"dataset": {"use": "p2pkit:webdataset", "params": {"root": str(root)}}}
    return open_dataset(resolve(load_config(config), load_registry(discover=False)))


def loader(dataset: PairDataset, *, batch: int, workers: int = 0) -> Loader:
    """Return the engine's loader of the training pairs, without augmentation, on the CPU."""
    stored, _ = prepare(dataset.pairs("train"), workers=workers)
    cpu = torch.device("cpu")
    place = Place(cpu, Precision("fp32", cpu), torch.channels_last)
    return Loader(stored, dataset.spec, batch=batch, place=place, shuffle=True)


class Peak:
    """The most memory that this process and those it started have held together, looked at 20 times a second."""

    def __init__(self) -> None:
        self.bytes = _memory()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.bytes = max(self.bytes, _memory())

    def end(self) -> int:
        """Stop looking, and return the peak."""
        self._ended.set()
        self._thread.join()
        return self.bytes


def _memory() -> int:
    """Return the resident memory, what processes share counted once where the system tells."""
    held = 0
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            facts = process.memory_full_info()
            held += getattr(facts, "pss", facts.rss)
        except psutil.NoSuchProcess:
            continue
    return held


def main(root: str, batch: str, workers: str) -> None:
    """Read an epoch, and print what it took as JSON."""
    peak = Peak()
    before = peak.bytes
    batches = loader(open_shards(Path(root)), batch=int(batch), workers=int(workers)).epoch()
    pairs = sum(len(each.source) for each in batches)
    print(json.dumps({"pairs_read": pairs, "memory_before": before, "peak_memory": peak.end()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
