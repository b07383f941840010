"""The decoded splits of a run's data, and loaders over them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.pair_sources import PairSource
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.distributed.collectives import check_equal_across_ranks, raise_on_all_ranks
from p2pkit.engine.distributed.world import World
from p2pkit.errors import Problem
from p2pkit.progress import ProgressReporter


class Splits:
    """Reads splits when they are wanted; all processes have to find the same pairs.

    Args:
        checked: The plan and its data.
        reporter: Hears how the reading comes along, and what is left out.
    """

    def __init__(self, checked: ValidatedRun, reporter: ProgressReporter) -> None:
        self.checked = checked
        self.reporter = reporter
        self.sources: dict[str, PairSource] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many pairs each split has that was read."""
        return {split: len(source) for split, source in self.sources.items()}

    def read(self, *splits: str) -> None:
        """Decode splits, the training one at the size that the augmentations want to be given.

        Raises:
            DataError: Files can't be read.
            ConfigError: Processes find other pairs.
        """
        raise_on_all_ranks(lambda: self._decode(*splits))
        names = {split: (len(source), list(getattr(source, "names", ()))) for split, source in self.sources.items()}
        remedy = "the data set must be the same, and complete, on all machines"
        check_equal_across_ranks("the pairs", hashlib.sha256(repr(names).encode()).hexdigest(), remedy)

    def loader(self, split: str, place: Placement, batch: int, *, among: World | None = None, **options: Any) -> Loader:
        """Return batches of a split.

        Args:
            split: A split that was read.
            place: Where the networks are.
            batch: Pairs of a batch.
            among: This process among those that share the split; by default it has all of it.
            options: As `Loader` takes them.
        """
        shared = {"part": among.rank, "parts": among.count} if among else {}
        seed = self.checked.plan.config.engine.seed
        own = {"batch": batch, "place": place, "seed": seed, **shared, **options}
        return Loader(self.sources[split], self.checked.spec, **own)

    def _decode(self, *splits: str) -> None:
        config = self.checked.plan.config
        for split in splits:
            dataset = self.checked.dataset
            loads = self._loads() if split == "train" else None
            if loads is not None and split != self.checked.split and hasattr(dataset, "at"):
                dataset = dataset.at(*loads)
            self.sources[split], left_out = load_split(
                dataset.pairs(split),
                cache=config.engine.cache,
                unreadable=config.dataset.unreadable,
                workers=config.engine.workers,
                what=f"reading {split}",
                report=self.reporter.working,
                note=self._left_out,
            )
            for problem in left_out:
                self._left_out(problem)

    def _left_out(self, problem: Problem) -> None:
        self.reporter.note(f"left out: {problem}")

    def _loads(self) -> tuple[int, int] | None:
        parts = self.checked.plan.augment
        wanted = (getattr(part.build(self.checked.spec), "loads", None) for part in parts)
        return next((size for size in wanted if size is not None), None)
