"""Batches on the device: converted and augmented where the networks are, copied while the step before computes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor
from torch.profiler import record_function

from p2pkit.engine.data.pair_sources import BatchOrder, Cached, Images, PairSource
from p2pkit.engine.device.placement import Placement
from p2pkit.extras.calling import moved_along
from p2pkit.extras.values import draw, seen
from p2pkit.images.convert import resample
from p2pkit.types import ExtraSpec, ImageSpec, PairAugmentation, PairSpec


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as networks see it, and the seconds that the host waited for it."""

    source: Tensor
    target: Tensor
    waited: float
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tensors(self) -> Images:
        """All of it, as a step takes it: extras in the order of their names."""
        return self.source, self.target, *(self.extras[name] for name in sorted(self.extras))


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
        self.augmentations = [(each, moved_along(each, images)) for each in augmentations]
        self.seed = seed
        self.shuffle = shuffle
        self.part = part
        self.parts = parts
        self.size: tuple[int, ...] | None = None

    def sized(self, size: tuple[int, ...]) -> Loader:
        """Return a loader of the same batches whose images are of another size once they are augmented.

        Args:
            size: Height and width, of volumes depth before them.
        """
        if size == self.images.size:
            return self
        other = copy.copy(self)
        other.size = size
        return other

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
        for batch, stored in enumerate(self._ahead(self.stored.epoch(self._order(number, skip))), skip):
            held = self._seen(stored)
            for augmentation, names in self.augmentations:
                held |= zip(names, augmentation(*(held[name] for name in names)), strict=True)
            if self.size is not None:
                specs = self.images.stored
                held = {name: _resized(each, self.size, specs[name]) for name, each in held.items()}
            held = {name: self.place.lay(each) for name, each in held.items()}
            held |= self._drawn(number, [self._place(batch, index) for index in range(len(stored[0]))])
            yield Batch(held.pop("source"), held.pop("target"), time.perf_counter() - begun, held)
            begun = time.perf_counter()

    def samples(self, count: int) -> Iterator[tuple[str, Batch]]:
        """Yield a few pairs with their names as networks see them, each as a batch of one, always the same ones."""
        for place, (name, images) in enumerate(self.stored.samples(count)):
            held = self._seen(self._moved(images)) | self._drawn("samples", [place])
            yield name, Batch(held.pop("source"), held.pop("target"), 0.0, held)

    def _place(self, batch: int, index: int) -> int:
        """Return which pair of an epoch one of a batch is, whatever share of them each process has."""
        if self.shuffle:
            return (batch * self.parts + self.part) * self.batch + index
        return (batch * self.batch + index) * self.parts + self.part

    def _drawn(self, epoch: object, places: Sequence[int]) -> dict[str, Tensor]:
        """Draw what no pair holds, by the seed of the order."""
        if not self.images.drawn:
            return {}
        drawn = draw(self.images.drawn, [f"{self.seed} {epoch} {place}" for place in places])
        return dict(zip(drawn, self._to_device(tuple(drawn.values())), strict=True))

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
        return images if self.resident else self._to_device(images)

    def _to_device(self, tensors: Images) -> Images:
        cuda = self.place.device.type == "cuda"  # elsewhere a copy that nobody waits for may be read before it is there
        with record_function("host_to_device"):
            held = [tensor.pin_memory() if cuda else tensor for tensor in tensors]
            return tuple(tensor.to(self.place.device, non_blocking=cuda) for tensor in held)

    def _seen(self, stored: Images) -> dict[str, Tensor]:
        """Turn what is stored into what networks see, by name."""
        return {name: seen(each, spec) for each, (name, spec) in zip(stored, self.images.stored.items(), strict=True)}


def _resized(batch: Tensor, size: tuple[int, ...], spec: ExtraSpec) -> Tensor:
    if not isinstance(spec, ImageSpec):
        return batch
    return resample(batch, size, nearest=spec.kind == "labels").clamp(-1, 1)


def _handed_over(images: Images, copied: torch.cuda.Event) -> Images:
    """Make the present stream wait for a copy, and keep its memory while the stream uses it."""
    stream = torch.cuda.current_stream()
    stream.wait_event(copied)
    for image in images:
        image.record_stream(stream)
    return images


def in_groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Group batches whose gradients are added up; an incomplete group at an epoch's end is left out.

    Args:
        batches: An epoch's.
        size: How many make a step.
    """
    while len(group := list(islice(batches, size))) == size:
        yield group
