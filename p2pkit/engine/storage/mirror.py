"""A run's checkpoints at another address, by fsspec: sent in the background while the training goes on, and fetched.

What lies there is what lies here: each checkpoint that is kept, its state last, so that one without is not whole.
"""

from __future__ import annotations

import posixpath
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from p2pkit.atomic_files import atomic_file, atomic_folder, writing
from p2pkit.engine.storage.layout import BEST, CHECKPOINTS, CONFIG, NOTES, STATE, checkpoints, step_of
from p2pkit.errors import P2pkitError, Problem, StorageError, first_line
from p2pkit.untyped import Untyped

KEY = "checkpoint.mirror"
PATIENCE = 60.0
"""Seconds in which nothing has got through until the end of a run waits no longer; a quarter of it after an error."""
_PAUSES = (1.0, 2.0, 4.0, 8.0)
_BLOCK = 2**22


def mirror_problems(address: str | None) -> list[Problem]:
    """List what is wrong with an address, without asking anybody there."""
    try:
        _ = None if address is None else _Place(address)
    except Exception as error:  # each kind of address raises what its package does
        remedy = "install what fsspec wants for it, or write one of its kinds: s3://, gs://, az://, sftp://, a folder"
        return [Problem(KEY, f"{address} can't be used: {first_line(error)}", remedy)]
    return []


def is_sent_to(address: str | None, name: str) -> bool:
    """Tell whether an address has checkpoints of a run of a name.

    Raises:
        StorageError: The address can't be read.
    """
    if address is None:
        return False
    with _reading(address):
        return bool(_Place(address, name).steps(CHECKPOINTS))


def fetch(address: str, folder: Path) -> Path | None:
    """Bring a run's latest checkpoint, and its best, from where they were sent to.

    Args:
        address: The folder of runs there.
        folder: The run's folder here; what it has, is left as it is.

    Returns:
        The run's folder; None where there is nothing.

    Raises:
        StorageError: The address can't be read, or the folder not be written.
    """
    with _reading(address):
        place = _Place(address, folder.name)
        if not place.steps(CHECKPOINTS):
            return None
        for name in () if (folder / CONFIG).is_file() else (*place.notes(), CONFIG):
            with atomic_file(folder / name) as partial:
                place.bring(name, partial)
        for room in (CHECKPOINTS, BEST):
            here = [step_of(path) for path in checkpoints(folder / room)]
            latest = max(place.steps(room), default=-1)
            if latest > max(here, default=-1):
                final = folder / room / f"step-{latest:08d}"
                with writing(final), atomic_folder(final) as partial:
                    for file in place.files(f"{room}/{final.name}"):
                        place.bring(f"{room}/{final.name}/{file}", partial / file)
    return folder


class Mirror:
    """Sends a run's checkpoints, one after the other; it is told of the run as trackers are.

    Args:
        folder: The run's folder; what is there and was never sent, goes first.
        address: The folder of runs there.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self._waiting = deque(path for room in (CHECKPOINTS, BEST) for path in checkpoints(folder / room))
        self._changed = threading.Condition()
        self._over = False
        self._trouble, self._told = "", ""
        self._moved = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def checkpointed(self, step: int, path: Path, best: bool) -> str | None:
        """Take in a checkpoint that is complete."""
        with self._changed:
            if path not in self._waiting:
                self._waiting.append(path)
            self._changed.notify()
        return self._complaint()

    def scalars(self, step: int, scalars: Mapping[str, float]) -> str | None:
        """Say what went wrong meanwhile."""
        return self._complaint()

    def went_back(self, step: int) -> None:
        """Let what is left here be what is left there."""
        with self._changed:
            self._waiting += checkpoints(self.folder / CHECKPOINTS)[-1:]
            self._changed.notify()

    def ended(self, error: BaseException | None, reason: str) -> str | None:
        """Wait until all is sent, as long as anything gets through."""
        with self._changed:
            self._over = True
            self._moved = time.monotonic()
            self._changed.notify()
        patience = PATIENCE if error is None else PATIENCE / 4
        while self._thread.is_alive() and time.monotonic() - self._moved < patience:
            self._thread.join(0.05)
        if not self._thread.is_alive():
            return None
        missing = ", ".join(path.name for path in self._waiting)
        why = self._trouble or "nothing gets through"
        return f"{KEY}: {self.address} lacks {missing}: {why}; it is sent when the run goes on"

    def _complaint(self) -> str | None:
        """Say once what is wrong, until it is something else."""
        trouble, self._told, told = self._trouble, self._trouble, self._told
        if not trouble or trouble == told:
            return None
        return f"{KEY}: {self.address}: {trouble}; the training goes on, and it is tried again"

    def _work(self) -> None:
        failures = 0
        while (path := self._next()) is not None:
            try:
                self._send(path)
            except Exception as error:  # each kind of address raises what its package does
                self._trouble = first_line(error, typed=True)
                with self._changed:
                    self._changed.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                continue
            failures, self._trouble = 0, ""
            with self._changed:
                self._waiting.remove(path)

    def _next(self) -> Path | None:
        with self._changed:
            while not self._waiting and not self._over:
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _send(self, path: Path) -> None:
        place, room = _Place(self.address, self.folder.name), path.parent.name
        with ExitStack() as stack:
            try:  # who is removed from now on can still be read to its end
                held = {file: stack.enter_context((path / file).open("rb")) for file in _files(path)}
            except FileNotFoundError:  # a newer one has taken its place, and is sent after it
                return
            if not place.holds(f"{room}/{path.name}/{STATE}", held[STATE]):
                place.remove(f"{room}/{path.name}")
                for file, stream in held.items():
                    self._put(place, f"{room}/{path.name}/{file}", stream)
                for beside in (self.folder / CONFIG, *self.folder.glob(NOTES)):
                    with beside.open("rb") as stream:
                        self._put(place, beside.name, stream)
        kept = {step_of(each) for each in checkpoints(path.parent)}
        for step in place.steps(room, whole=False):
            if step not in kept:
                place.remove(f"{room}/step-{step:08d}")

    def _put(self, place: _Place, name: str, stream: IO[bytes]) -> None:
        with place.open(name) as there:
            while block := stream.read(_BLOCK):
                there.write(block)
                self._moved = time.monotonic()


class _Place:
    """The folder of a run, or of runs, at an address."""

    def __init__(self, address: str, name: str = "") -> None:
        import fsspec

        self.system, root = fsspec.core.url_to_fs(address)
        self.root = posixpath.join(root, name)
        self.system.invalidate_cache()  # others write there too

    def _path(self, name: str) -> str:
        return posixpath.join(self.root, name)

    def steps(self, room: str, *, whole: bool = True) -> list[int]:
        """Return the steps of the checkpoints in a room."""
        folder = self._path(room)
        if not self.system.isdir(folder):
            return []
        names = [posixpath.basename(str(found).rstrip("/")) for found in self.system.ls(folder, detail=False)]
        steps = [name.removeprefix("step-") for name in names if name.startswith("step-")]
        known = sorted(int(step) for step in steps if step.isdigit())
        return [s for s in known if not whole or self.system.isfile(self._path(f"{room}/step-{s:08d}/{STATE}"))]

    def notes(self) -> list[str]:
        """Return the names of the files that say what trackers call the run."""
        return [posixpath.basename(str(found)) for found in self.system.glob(self._path(NOTES))]

    def files(self, folder: str) -> list[str]:
        """Return the files below a folder, as paths in it."""
        root = self._path(folder)
        return [posixpath.relpath(found, root) for found in self.system.find(root)]

    def holds(self, name: str, stream: IO[bytes]) -> bool:
        """Tell whether a file there is the same as one here; what there is of it is read again afterwards."""
        here = stream.read()
        stream.seek(0)
        path = self._path(name)
        return bool(self.system.isfile(path) and self.system.cat_file(path) == here)

    def open(self, name: str) -> Untyped:
        """Open a file for writing, and make its folder, where the address has such."""
        path = self._path(name)
        self.system.makedirs(posixpath.dirname(path), exist_ok=True)
        return self.system.open(path, "wb")

    def bring(self, name: str, to: Path) -> None:
        """Copy a file from there."""
        to.parent.mkdir(parents=True, exist_ok=True)
        self.system.get_file(self._path(name), str(to))

    def remove(self, folder: str) -> None:
        """Remove a folder, its state first: from then on it is no checkpoint."""
        path = self._path(folder)
        with suppress(FileNotFoundError):
            if self.system.isfile(f"{path}/{STATE}"):
                self.system.rm_file(f"{path}/{STATE}")
            self.system.rm(path, recursive=True)


def _files(path: Path) -> Iterator[str]:
    """Yield the files of a checkpoint, its state last."""
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    yield from (file for file in found if file != STATE)
    yield STATE


@contextmanager
def _reading(address: str) -> Iterator[None]:
    """Context in which an address is read; what its package raises becomes an error for users."""
    try:
        yield
    except P2pkitError:
        raise
    except Exception as error:  # each kind of address raises what its package does
        cause = f"{address} can't be read: {first_line(error, typed=True)}"
        raise StorageError(Problem(KEY, cause, "look at the address, and at the keys that open it")) from error
