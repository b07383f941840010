"""A recipe put together as for a run, with noise of its size for data, so that no file is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from p2pkit.config import Plan
from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.build.autotune import WORTH_STEPS, build_tuned
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.loader import Batch, Loader
from p2pkit.engine.data.pair_sources import Cached
from p2pkit.engine.device.choose import device_problems
from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.errors import ConfigError
from p2pkit.types import ImageSpec, Pair, PairDataset, PairSpec, optional


class _Noise:
    """A stand-in for the recipe's data."""

    splits: tuple[str, ...] = ("train",)

    def __init__(self, side: int) -> None:
        self.spec = PairSpec(ImageSpec(3), ImageSpec(3), side, side)

    def pairs(self, split: str) -> Sequence[Pair]:
        """Return nothing: batches come from a cache that is filled at once."""
        return ()


def trial(plan: Plan) -> Assembly:
    """Put a plan together as a run of it would be on this machine.

    Raises:
        ConfigError: The plan has problems, or asks for what this machine has not.
    """
    if problems := (*plan.problems, *device_problems(plan.config, training=True)):
        raise ConfigError(problems)
    size = plan.resolved()["dataset"]["params"].get("size") or 256
    dataset: PairDataset = _Noise(size if isinstance(size, int) else size[0])
    with keep_freed_memory():  # as in a run, where `auto` is settled so
        parts = plan.part("dataset"), plan.part("generator"), plan.part("discriminator")
        return build_tuned(ValidatedRun(plan, dataset, "train", *parts), WORTH_STEPS)


def loader(assembly: Assembly) -> Loader:
    """Return the recipe's own loader, over cached noise."""
    images = assembly.checked.spec
    wanted = map(optional.loads, assembly.augmentations)
    height, width = next((size for size in wanted if size), (images.height, images.width))
    batch = assembly.engine.batch
    count = max(2 * batch, 8)
    source, target = (torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8) for _ in range(2))
    stored = Cached([str(index) for index in range(count)], source, target)
    return Loader(stored, images, batch=batch, place=assembly.place, augmentations=assembly.augmentations, shuffle=True)


def feed(assembly: Assembly) -> Iterator[Batch]:
    """Yield batches for ever, through the recipe's own loader and augmentations."""
    return forever(loader(assembly))


def forever(batches: Loader) -> Iterator[Batch]:
    """Yield a loader's batches, epoch after epoch."""
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1
