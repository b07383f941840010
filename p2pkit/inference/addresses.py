"""Files at addresses: planned by empty files that stand for them, fetched where they are translated, and sent back."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from p2pkit.errors import DataError, Problem, first_line
from p2pkit.images.manifest import is_manifest
from p2pkit.inference.flow import Translated
from p2pkit.inference.jobs import Job
from p2pkit.passwords import holds_password, without_password
from p2pkit.untyped import Untyped

THREADS = 8
"""Threads that fetch and send, most of whose time is waiting."""
_ROOTED = "+"
"""Ends a protocol's folder where paths begin with a slash, as in `file:///tmp`."""


def is_address(place: str | Path) -> bool:
    """Say whether a place is an address that fsspec knows, such as `s3://bucket/folder`, and no path."""
    return isinstance(place, str) and "://" in place


@dataclass(frozen=True)
class StandIns:
    """A folder in which each file at an address has an empty one that stands for it.

    Args:
        folder: The folder.
    """

    folder: Path

    def path(self, address: str) -> Path:
        """Return what stands for an address."""
        protocol, _, rest = address.partition("://")
        if holds_password(address):
            cause = "the address holds a password or a token, which pieces of work and messages would hold too"
            remedy = "leave it out: fsspec finds it in its own config, or in the environment"
            raise DataError(Problem(without_password(address), cause, remedy))
        if ".." in rest.split("/"):
            raise DataError(Problem(address, "leads upward, and might lead anywhere", "name the folder itself"))
        return self.folder / (protocol + _ROOTED * rest.startswith("/")) / rest.strip("/")

    def address(self, path: Path) -> str | None:
        """Return the address that a path stands for; None for a path that is one."""
        return self._named(str(path)) if path.is_relative_to(self.folder) else None

    def said(self, problem: Problem) -> Problem:
        """Return a problem in whose words addresses are what they are."""
        return replace(problem, path=self._named(problem.path), cause=self._named(problem.cause))

    def _named(self, text: str) -> str:
        began = rf"{re.escape(str(self.folder))}/([^/]+?)(\+?)/"
        return re.sub(began, lambda found: f"{found[1]}://{'/' * len(found[2])}", text)

    def mirror(self, address: str, *, needed: bool = True) -> Path:
        """Make what stands for a file, or for a folder and all in it; return its path.

        Args:
            address: The address.
            needed: Whether there has to be something.

        Raises:
            DataError: There is nothing, or it can't be looked at.
        """
        place = self.path(address)
        try:
            files, root = _opened(address)
            found = files.find(root)
        except Exception as error:  # whatever a store raises
            raise DataError(Problem(address, f"can't be looked at: {first_line(error, typed=True)}")) from None
        if needed and not found:
            raise DataError(Problem(address, "there is no such file or folder"))
        if needed and is_manifest(place):
            raise DataError(
                Problem(address, "is a table, whose paths begin where it lies", "fetch it, and name it here")
            )
        for file in found:
            stands = self.path(f"{address.rstrip('/')}{file.removeprefix(root.rstrip('/'))}")
            stands.parent.mkdir(parents=True, exist_ok=True)
            stands.touch()
        return place

    @contextmanager
    def at_hand(self, jobs: Sequence[Job]) -> Iterator[tuple[list[Job], Callable[[Translated], Translated]]]:
        """Context in which the sources of some jobs lie here: these jobs, and what sends their fakes where they belong.

        Args:
            jobs: The jobs, in which paths stand for addresses.
        """
        with tempfile.TemporaryDirectory(prefix="p2pkit-") as name, ThreadPoolExecutor(THREADS) as pool:
            near = StandIns(Path(name))

            def here(path: Path) -> Path:
                address = self.address(path)
                return near.path(address) if address else path

            def fetch(path: Path) -> Problem | None:
                address = self.address(path)
                return _fetched(address, near.path(address)) if address else None

            def send(path: Path) -> Problem | None:
                address = near.address(path)
                return _sent(path, address) if address else None

            def sent(made: Translated) -> Translated:
                failed = list(pool.map(send, made.written))
                there = [path for path, problem in zip(made.written, failed, strict=True) if problem is None]
                back = [self.path(address) if (address := near.address(path)) else path for path in there]
                return Translated(back, [*missing, *map(near.said, made.problems), *filter(None, failed)])

            sources = list(dict.fromkeys(path for job in jobs for path in job.sources))
            lacking = {path: why for path, why in zip(sources, pool.map(fetch, sources), strict=True) if why}
            missing = list(lacking.values())
            whole = [job for job in jobs if lacking.keys().isdisjoint(job.sources)]
            yield [replace(job, sources=tuple(map(here, job.sources)), out=here(job.out)) for job in whole], sent


def _opened(address: str) -> tuple[Untyped, str]:
    """Return the store that an address is in, and how that calls it."""
    import fsspec  # which torch brings along; what speaks to a store is installed beside it

    files, place = fsspec.core.url_to_fs(address)
    return files, place.rstrip("/") or "/"


def _fetched(address: str, path: Path) -> Problem | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files, place = _opened(address)
        files.get_file(place, str(path))
    except Exception as error:  # whatever a store raises
        return Problem(address, f"can't be fetched: {first_line(error, typed=True)}")
    return None


def _sent(path: Path, address: str) -> Problem | None:
    try:
        files, place = _opened(address)
        files.makedirs(place.rpartition("/")[0], exist_ok=True)
        files.put_file(str(path), place)
    except Exception as error:  # whatever a store raises
        return Problem(address, f"can't be written: {first_line(error, typed=True)}")
    return None
