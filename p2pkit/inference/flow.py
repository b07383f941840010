"""What goes through a translator: sources that were read, grouped, and their fakes saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from p2pkit.errors import Problem
from p2pkit.images.beside import Beside
from p2pkit.images.files import write_image
from p2pkit.images.tiff import Tag
from p2pkit.inference.companions import Input
from p2pkit.inference.large import LargeTiff


@dataclass(frozen=True, slots=True)
class Read:
    """A source that has been read, and where its fake goes.

    Args:
        out: The file to write.
        source: What the network is given, with what stands beside it, or a file that is read by rows.
        tags: A TIFF's place on earth.
        sample: Which of several fakes of the source.
        beside: What the fake keeps of the file beside its pixels.
        meta: The same of a plugin's format.
    """

    out: Path
    source: Input | LargeTiff
    tags: tuple[Tag, ...] = ()
    sample: int = 0
    beside: Beside = field(default_factory=Beside)
    meta: object = None


def save(fake: Tensor, read: Read) -> Path | Problem:
    """Write a fake."""
    try:
        read.out.parent.mkdir(parents=True, exist_ok=True)
        return write_image(fake, read.out, fast=True, tags=list(read.tags), beside=read.beside, meta=read.meta)
    except OSError as error:
        return Problem(str(read.out), f"can't be written: {error.strerror or error}")


def finished(outcome: Path | Problem) -> Future[Path | Problem]:
    """Return an outcome that is there as one that is waited for."""
    future: Future[Path | Problem] = Future()
    future.set_result(outcome)
    return future


def sound(outcomes: Iterable[Read | Problem], problems: list[Problem]) -> Iterator[Read]:
    """Yield what could be read, and gather what could not."""
    for outcome in outcomes:
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            yield outcome


def _kind(read: Read) -> object:
    return (read.source.form, read.sample) if isinstance(read.source, Input) else None


def batches(read: Iterable[Read], size: int) -> Iterator[list[Read]]:
    """Group what follows one another and is of one size."""
    group: list[Read] = []
    for item in read:
        if group and (len(group) == size or _kind(item) is None or _kind(item) != _kind(group[0])):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
