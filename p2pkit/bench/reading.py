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
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.workers import Workers
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.registry import load_registry
from p2pkit.types import PairDataset


def open_shards(root: Path) -> PairDataset:
    """Open shards by the built-in data set."""
    config = {"dataset": {"use": "p2pkit:webdataset", "params": {"root": str(root)}}}
    return open_dataset(resolve(load_config(config), load_registry(discover=False)))


def loader(dataset: PairDataset, *, batch: int, workers: int = 0) -> Loader:
    """Return the engine's loader of the training pairs, without augmentation, on the CPU."""
    stored, _ = load_split(dataset.pairs("train"), workers=Workers(workers))
    cpu = torch.device("cpu")
    place = Placement(cpu, Precision("fp32", cpu), torch.channels_last)
    return Loader(stored, dataset.spec, batch=batch, place=place, shuffle=True)


class Peak:
    """The most memory that this process and those it started have held together, looked at 20 times a second.

    What is mapped from files is counted apart: it is the system's to take back at any time.
    """

    def __init__(self) -> None:
        self.own, self.mapped = _memory()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            own, mapped = _memory()
            self.own, self.mapped = max(self.own, own), max(self.mapped, mapped)

    def end(self) -> tuple[int, int]:
        """Stop looking, and return the peaks of the processes' own memory and of mapped files."""
        self._ended.set()
        self._thread.join()
        return self.own, self.mapped


def _memory() -> tuple[int, int]:
    """Return the resident memory and the mapped files', what processes share counted once where the system tells."""
    held = [0, 0]
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            memory = _by_kind(process)
        except (psutil.NoSuchProcess, OSError):
            continue
        held = [sum(both) for both in zip(held, memory, strict=True)]
    return held[0], held[1]


def _by_kind(process: psutil.Process) -> tuple[int, int]:
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    if not rollup.exists():
        return process.memory_info().rss, 0
    lines = (line.split() for line in rollup.read_text(encoding="utf-8").splitlines()[1:])
    sizes = {line[0]: int(line[1]) * 1024 for line in lines}
    return sizes["Pss_Anon:"] + sizes["Pss_Shmem:"], sizes["Pss_File:"]


def main(root: str, batch: str, workers: str) -> None:
    """Read an epoch, and print what it took as JSON."""
    peak = Peak()
    before = {"memory_before": peak.own, "mapped_before": peak.mapped}
    batches = loader(open_shards(Path(root)), batch=int(batch), workers=int(workers)).epoch()
    pairs = sum(len(each.source) for each in batches)
    own, mapped = peak.end()
    print(json.dumps({"pairs_read": pairs, **before, "peak_memory": own, "peak_mapped": mapped}))


if __name__ == "__main__":
    main(*sys.argv[1:])
