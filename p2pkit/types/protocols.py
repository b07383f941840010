"""What the factories of each kind make: one protocol for a kind; `optional` says what more each may have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, SupportsFloat, runtime_checkable

from p2pkit.types.images import ImageFile, Pair, PairSpec
from p2pkit.types.view import Made, Verdict, View
from p2pkit.untyped import Plain, Untyped

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from p2pkit.types.work import Resources, Tell, Work


@runtime_checkable
class PairStream(Protocol):
    """Pairs one after another, for a split that is too large or too far away to be read in any order.

    It has to be picklable, since worker processes read it.
    """

    def __len__(self) -> int:
        """Return the number of pairs of the split."""
        ...

    def decoders(
        self, *, part: int = 0, parts: int = 1, seed: int | None = None, start: int = 0
    ) -> Iterator[Callable[[], Pair]]:
        """Yield a function for each pair, which decodes it when it is called, in any thread.

        A pair that can't be decoded raises `DataError` there, and the next one can still be read.

        Args:
            part: Which part of the split, from 0.
            parts: How many parts there are: together they hold each pair once, and their lengths differ by one at most.
            seed: Settles a random order; None for the order in which the pairs are stored.
            start: How many pairs of the part are left out at its beginning, to go on after an interruption.
        """
        ...


@runtime_checkable
class PairDataset(Protocol):
    """What a dataset's factory returns: pairs by split.

    `pairs` is a sequence in a fixed order, whose items may be slow to read and must be safe to read in threads; or a
    `PairStream`.
    """

    spec: PairSpec
    splits: tuple[str, ...]

    def pairs(self, split: str) -> Sequence[Pair] | PairStream:
        """Return the pairs of a split."""
        ...


@runtime_checkable
class GeneratorNetwork(Protocol):
    """What a generator's factory returns: a `torch.nn.Module` that makes a fake of a source.

    Further arguments of its forward are extras, which it is given by their names.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), both in [-1, 1], of volumes (B, C, D, H, W); vectors (B, size).
    """

    def __call__(self, source: Tensor, /, **extras: Tensor) -> Tensor | Made:
        """Return a fake of each source, alone or with what else was made."""
        ...


@runtime_checkable
class DiscriminatorNetwork(Protocol):
    """What a discriminator's factory returns: a `torch.nn.Module` that judges pairs.

    Further arguments of its forward are extras, which it is given by their names.

    Shape: images (B, C, H, W) in [-1, 1], volumes (B, C, D, H, W); vectors (B, size).
    """

    def __call__(self, source: Tensor, image: Tensor, /, **extras: Tensor) -> Verdict:
        """Return the verdict on the pairs of a source and a target or fake."""
        ...


@runtime_checkable
class GeneratorLoss(Protocol):
    """A loss that has a say in the generator's turn; one that has a say in both turns has both methods."""

    def generator(self, view: View) -> Tensor:
        """Return a scalar that the generator minimises, without its weight."""
        ...


@runtime_checkable
class DiscriminatorLoss(Protocol):
    """A loss that has a say in the discriminator's turn, for which alone a run has a discriminator."""

    def discriminator(self, view: View) -> Tensor:
        """Return a scalar that the discriminator minimises, without its weight."""
        ...


@runtime_checkable
class PairAugmentation(Protocol):
    """What an augmentation's factory returns: a change of a batch, with the same geometry for all images of a pair.

    One that takes `*extras` is given the images among the data's extras too, in the order of `images.images`.

    Shape: images (B, C, H, W) in [-1, 1], volumes (B, C, D, H, W); those returned are of the run's size.
    """

    def __call__(self, source: Tensor, target: Tensor, /, *extras: Tensor) -> tuple[Tensor, ...]:
        """Return sources and targets, and whatever else was given, changed."""
        ...


@runtime_checkable
class PairMetric(Protocol):
    """What a metric's factory returns: a `torchmetrics.Metric`, which is updated batch by batch and merges.

    Shape: images (B, C, H, W) in [-1, 1]; volumes come slice by slice.
    """

    def update(self, *images: Tensor) -> None:
        """Count a batch in: a fake and its target, or what the attribute `wants` names."""
        ...

    def compute(self) -> SupportsFloat | Mapping[str, SupportsFloat]:
        """Return the value, or a mapping of several."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


@runtime_checkable
class ParameterOptimizer(Protocol):
    """What an optimiser's factory returns: a `torch.optim.Optimizer`, which keeps what it remembers in `state`."""

    param_groups: list[dict[str, Untyped]]
    state: Mapping[Tensor, Untyped]

    def step(self) -> object:
        """Update each parameter by its gradient, without waiting for the device."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...


@runtime_checkable
class RateSchedule(Protocol):
    """What a schedule's factory returns: a function of nothing but the step."""

    def __call__(self, step: int, /) -> float:
        """Return the factor that learning rates have in a step, counted from 0."""
        ...


@runtime_checkable
class RunTracker(Protocol):
    """What a tracker's factory returns; its other methods, one for each event, are optional attributes."""

    def scalars(self, step: int, scalars: Mapping[str, float]) -> str | None:
        """Record what was measured up to a step; may return a sentence for the user, as each of its methods."""
        ...


@runtime_checkable
class FileRows(Protocol):
    """A file of which any rows can be had without reading the others; it is a context that closes it.

    Args:
        height: Its rows.
        width: Its columns.
        levels: Smaller copies that it holds.
        compressed: Whether it is packed.
    """

    height: int
    width: int
    levels: int
    compressed: bool

    def read(self, first: int, last: int, /) -> NDArray[np.generic]:
        """Return the rows from `first` to before `last`, (last - first, W, C)."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@runtime_checkable
class FileReader(Protocol):
    """What a reader's factory returns: reads files of a format, and may write such files too."""

    def read(self, path: Path, /) -> ImageFile:
        """Return what a file holds, or raise what says why it can't be read."""
        ...


@runtime_checkable
class WorkExecutor(Protocol):
    """What an executor's factory returns: has work done somewhere; it reaches for that place at the first work."""

    def submit(self, work: Work, resources: Resources, tell: Tell, /) -> Future[Plain]:
        """Have `p2pkit.do_work(work, tell)` called where there are the resources; return without waiting.

        Args:
            work: The piece of work.
            resources: What it needs.
            tell: Hears in this process what the work tells there, in any thread; what gets lost on the way is no harm.

        Returns:
            What `do_work` returns, once it does; any exception means that the worker was lost, and not that the work
            failed.

        Raises:
            P2pkitError: The place can't be reached, or has less than is needed.
        """
        ...

    def close(self) -> None:
        """Let go of what has not begun, and end the rest by SIGTERM or `KeyboardInterrupt`, which saves what it has.

        It waits for that. Nothing is submitted any more, and it may be called twice.
        """
        ...


PROTOCOLS: Mapping[str, tuple[type, ...]] = {
    "generator": (GeneratorNetwork,),
    "discriminator": (DiscriminatorNetwork,),
    "loss": (GeneratorLoss, DiscriminatorLoss),
    "dataset": (PairDataset,),
    "augmentation": (PairAugmentation,),
    "metric": (PairMetric,),
    "optimizer": (ParameterOptimizer,),
    "schedule": (RateSchedule,),
    "tracker": (RunTracker,),
    "reader": (FileReader,),
    "executor": (WorkExecutor,),
}
"""For each kind what its factories may make; of a loss one of the two is enough."""
