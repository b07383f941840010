"""The decoded splits of a run's data, and loaders over them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.cache import fits_on
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.pair_sources import Cached, PairSource
from p2pkit.engine.data.parts import load_parts
from p2pkit.engine.data.workers import Workers
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.distributed.collectives import check_equal_across_ranks, raise_on_all_ranks
from p2pkit.engine.distributed.world import World
from p2pkit.errors import ConfigError, Problem
from p2pkit.progress import ProgressReporter
from p2pkit.types import PairDataset, PairStream, optional
from p2pkit.types.optional import Attribute
from p2pkit.untyped import Untyped

T = TypeVar("T")


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

    def loader(
        self,
        split: str,
        place: Placement,
        batch: int,
        *,
        among: World | None = None,
        again: bool = False,
        **options: Untyped,
    ) -> Loader:
        """Return batches of a split.

        Args:
            split: A split that was read.
            place: Where the networks are.
            batch: Pairs of a batch.
            among: This process among those that share the split; by default it has all of it.
            again: Whether it is read again and again: then it may lie on a GPU.
            options: As `Loader` takes them.
        """
        shared = {"part": among.rank, "parts": among.count} if among else {}
        source, engine = self.sources[split], self.checked.plan.config.engine
        if again and isinstance(source, Cached) and fits_on(place.device, source.nbytes, engine.cache):
            source = source.to(place.device)
        own = {"batch": batch, "place": place, "seed": engine.seed, **shared, **options}
        return Loader(source, self.checked.spec, **own)

    def _decode(self, *splits: str) -> None:
        for note in optional.notes(self.checked.dataset) if "train" in splits else ():
            self.reporter.note(note)
        dataset, scales = self.checked.dataset, self._asked(optional.parts)
        loads, resized = self._asked(optional.loads), optional.at(dataset)
        shaped = loads is not None and resized is not None and optional.own_shapes(dataset)
        for split in splits:
            larger = loads if split == "train" and split != self.checked.split else None
            if scales is not None:
                self.sources[split] = self._parts(split, self._native(), scales)
            elif shaped and resized is not None:
                size = larger or dataset.spec.size
                self.sources[split] = self._parts(split, resized(*size), (1.0, 1.0))
            else:
                self._whole(split, resized(*larger) if larger and resized is not None else dataset)

    def _whole(self, split: str, dataset: PairDataset) -> None:
        """Read a split whose images are all of one size."""
        config = self.checked.plan.config
        self.sources[split], left_out = load_split(
            dataset.pairs(split),
            images=dataset.spec,
            cache=config.engine.cache,
            unreadable=config.dataset.unreadable,
            workers=self._workers(),
            what=f"reading {split}",
            report=self.reporter.working,
            note=self._left_out,
        )
        for problem in left_out:
            self._left_out(problem)

    def _workers(self) -> Workers:
        engine = self.checked.plan.config.engine
        return Workers(engine.workers, engine.worker_timeout, self.reporter.warn)

    def _left_out(self, problem: Problem) -> None:
        self.reporter.note(f"left out: {problem}")

    def _native(self) -> PairDataset:
        native = optional.native(self.checked.dataset)
        if native is None:
            cause = "the images of this data set can't be had at their own sizes, of which crop takes parts"
            raise ConfigError(Problem("augment", cause, "use jitter_crop"))
        return native()

    def _parts(self, split: str, dataset: PairDataset, scales: tuple[float, float]) -> PairSource:
        """Read a split whose images are of different sizes; batches get parts of them."""
        pairs, config = dataset.pairs(split), self.checked.plan.config
        if isinstance(pairs, PairStream):
            cause = "parts of images of different sizes can't be taken from a stream"
            raise ConfigError(Problem("augment", cause, "use a data set of files"))
        source, left_out = load_parts(
            pairs,
            dataset.spec,
            scales,
            cache=config.engine.cache,
            unreadable=config.dataset.unreadable,
            workers=self._workers(),
            what=f"reading {split}",
            report=self.reporter.working,
        )
        for problem in left_out:
            self._left_out(problem)
        return source

    def _asked(self, attribute: Attribute[T | None]) -> T | None:
        """Return the first augmentation's attribute that has one."""
        made = (part.build(self.checked.spec) for part in self.checked.plan.augment)
        return next((found for each in made if (found := attribute(each)) is not None), None)
