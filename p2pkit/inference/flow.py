"""What goes through a translator: sources that were read, grouped, and their fakes saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from p2pkit.engine.device.malloc import keep_freed_memory
from p2pkit.errors import DataError, Problem
from p2pkit.images.beside import Beside
from p2pkit.images.codec import Tag
from p2pkit.images.files import write_image
from p2pkit.inference.companions import Input
from p2pkit.inference.large import LargeTiff
from p2pkit.inference.video import Video
from p2pkit.types import ReaderChoice
from p2pkit.untyped import Untyped

THREADS = 4
"""Threads that decode, and as many that encode; most of the time they hold no lock of Python."""
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Read:
    """A source that has been read, and where its fake goes.

    Args:
        out: The file to write.
        source: What the network is given, with what stands beside it, or a file that is read by rows or frames.
        tags: A TIFF's place on earth.
        sample: Which of several fakes of the source.
        beside: What the fake keeps of the file beside its pixels.
        meta: The same of a plugin's format.
        reader: Who read the source.
    """

    out: Path
    source: Input | LargeTiff | Video
    tags: tuple[Tag, ...] = ()
    sample: int = 0
    beside: Beside = field(default_factory=Beside)
    meta: object = None
    reader: ReaderChoice | None = None


@dataclass(frozen=True)
class Translated:
    """What came of many sources.

    Args:
        written: The files written.
        problems: What could not be read or written.
    """

    written: list[Path]
    problems: list[Problem]

    def files(self, total: int) -> list[Path]:
        """Return the files written, of so many sources.

        Raises:
            DataError: Some could not be read or written; the others have been translated.
        """
        if self.problems:
            known = Problem("", f"{len(self.written)} of {total} images have been translated", "")
            raise DataError([*self.problems, known] if self.written else self.problems)
        return self.written


def _save(fake: Tensor, read: Read) -> Path | Problem:
    """Write a fake."""
    try:
        read.out.parent.mkdir(parents=True, exist_ok=True)
        beside: dict[str, Untyped] = {
            "tags": list(read.tags),
            "beside": read.beside,
            "meta": read.meta,
            "reader": read.reader,
        }
        return write_image(fake, read.out, fast=True, **beside)
    except OSError as error:
        return Problem(str(read.out), f"can't be written: {error.strerror or error}")


def _finished(outcome: Path | Problem) -> Future[Path | Problem]:
    """Return an outcome that is there as one that is waited for."""
    future: Future[Path | Problem] = Future()
    future.set_result(outcome)
    return future


def _sound(outcomes: Iterable[Read | Problem], problems: list[Problem]) -> Iterator[Read]:
    """Yield what could be read, and gather what could not."""
    for outcome in outcomes:
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            yield outcome


def _kind(read: Read) -> object:
    return (read.source.form, read.sample) if isinstance(read.source, Input) else None


def _batches(read: Iterable[Read], size: int) -> Iterator[list[Read]]:
    """Group what follows one another and is of one size."""
    group: list[Read] = []
    for item in read:
        if group and (len(group) == size or _kind(item) is None or _kind(item) != _kind(group[0])):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


@keep_freed_memory()
def translate_all(
    outcomes: Iterable[Read | Problem],
    make: Callable[[Sequence[Read]], list[Tensor] | Path | Problem],
    total: int,
    batch: int,
    report: Report | None,
) -> Translated:
    """Translate what has been read, and write it in threads.

    Args:
        outcomes: What has been read, or could not be.
        make: Makes the fakes of a batch, or writes that of a file which is read by parts.
        total: How many sources there are.
        batch: How many sources go together.
        report: Called with (done, total).
    """
    written: list[Path] = []
    problems: list[Problem] = []
    saving: deque[Future[Path | Problem]] = deque()

    def collect(most: int) -> None:
        while len(saving) > most:  # what waits for the disk does not fill the memory
            saved = saving.popleft().result()
            problems.append(saved) if isinstance(saved, Problem) else written.append(saved)

    with ThreadPoolExecutor(THREADS) as writer:
        for group in _batches(_sound(outcomes, problems), batch):
            made = make(group)
            if isinstance(made, Path | Problem):
                saving.append(_finished(made))
            else:
                saving += [writer.submit(_save, fake, read) for read, fake in zip(group, made, strict=True)]
            collect(2 * batch)
            if report is not None:
                report(len(written) + len(saving) + len(problems), total)
        collect(0)
    return Translated(written, problems)
