"""Batches on the device: converted and augmented where the networks are, copied while the step before computes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.profiler import record_function

from p2pkit.engine.data.pair_sources import BatchOrder, Cached, Images, PairSource
from p2pkit.engine.device.placement import Placement
from p2pkit.images.convert import to_network
from p2pkit.types import PairAugmentation, PairSpec


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as networks see it, and the seconds that the host waited for it."""

    source: Tensor
    target: Tensor
    waited: float


class Loader:
    """Batches of a split on the device.

    Args:
        stored: The pairs.
        images: What they are.
        batch: Pairs of a batch.
        place: Where to, and the layout in memory.
        augmentations: Changes, in order.
        seed: Seed of the order.
        shuffle: Whether each epoch has an order of its own; then what does not fill a batch is left out.
        part: Which part of the split, where several processes share it.
        parts: How many parts there are.
    """

    def __init__(
        self,
        stored: PairSource,
        images: PairSpec,
        *,
        batch: int,
        place: Placement,
        augmentations: Sequence[PairAugmentation] = (),
        seed: int = 0,
        shuffle: bool = False,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self.stored = stored
        self.images = images
        self.batch = batch
        self.place = place
        self.augmentations = augmentations
        self.seed = seed
        self.shuffle = shuffle
        self.part = part
        self.parts = parts

    @property
    def resident(self) -> bool:
        """Whether the pairs lie on the GPU."""
        return isinstance(self.stored, Cached) and self.stored.source.is_cuda

    def __len__(self) -> int:
        return self._order().length(len(self.stored))

    @property
    def everywhere(self) -> int:
        """How many batches each of the parts has, where some have one more."""
        return BatchOrder(self.batch, part=self.parts - 1, parts=self.parts).length(len(self.stored))

    def _order(self, number: int = 0, skip: int = 0) -> BatchOrder:
        seed = self.seed * 1_000_003 + number if self.shuffle else None
        return BatchOrder(self.batch, seed, skip, self.part, self.parts)

    def epoch(self, number: int = 0, skip: int = 0) -> Iterator[Batch]:
        """Yield an epoch's batches.

        Args:
            number: Number of the epoch, which settles the order.
            skip: Batches at the beginning that are left out, to go on after an interruption.
        """
        begun = time.perf_counter()
        for stored in self._ahead(self.stored.epoch(self._order(number, skip))):
            images = self._seen(stored)
            for augmentation in self.augmentations:
                images = augmentation(*images)
            source, target = (image.contiguous(memory_format=self.place.memory_format) for image in images)
            yield Batch(source, target, time.perf_counter() - begun)
            begun = time.perf_counter()

    def samples(self, count: int) -> Iterator[tuple[str, Images]]:
        """Yield a few pairs with their names as networks see them, each as a batch of one, always the same ones."""
        return ((name, self._seen(self._moved(images))) for name, images in self.stored.samples(count))

    def _ahead(self, stored: Iterator[Images]) -> Iterator[Images]:
        """Bring batches to the device; to a GPU each on a stream of its own while the one before it is worked on."""
        if self.place.device.type != "cuda" or self.resident:
            yield from map(self._moved, stored)
            return
        stream = self._stream
        before: tuple[Images, torch.cuda.Event] | None = None
        for images in stored:
            with torch.cuda.stream(stream):
                copied = self._moved(images), stream.record_event()
            if before is not None:
                yield _handed_over(*before)
            before = copied
        if before is not None:
            yield _handed_over(*before)

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        """The stream of all epochs' copies: memory that is freed is kept for the stream that it was made on."""
        return torch.cuda.Stream(self.place.device)  # type: ignore[no-untyped-call]  # torch's

    def _moved(self, images: Images) -> Images:
        device = self.place.device
        if self.resident:
            return images
        cuda = device.type == "cuda"  # elsewhere a copy that nobody waits for may be read before it is there
        with record_function("host_to_device"):
            source, target = (image.pin_memory() if cuda else image for image in images)
            return source.to(device, non_blocking=cuda), target.to(device, non_blocking=cuda)

    def _seen(self, images: Images) -> Images:
        return to_network(images[0], self.images.source), to_network(images[1], self.images.target)


def _handed_over(images: Images, copied: torch.cuda.Event) -> Images:
    """Make the present stream wait for a copy, and keep its memory while the stream uses it."""
    stream = torch.cuda.current_stream()
    stream.wait_event(copied)
    for image in images:
        image.record_stream(stream)
    return images
