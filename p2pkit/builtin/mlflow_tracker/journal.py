"""What a run has to say, kept in its folder until MLflow has it: lines of JSON that are only ever appended to."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from p2pkit.untyped import Json, Plain

FOLDER = "mlflow"
"""Folder in a run's folder that holds its journals, one for each of its records in MLflow."""
Entry = Plain
BATCHED = ("metrics", "params", "tags")
"""Kinds of entries of which many go into one request."""
_MOST = {"metrics": 900, "params": 100, "tags": 90}  # MLflow takes 1000, 100 and 100, and 1000 of all kinds


@dataclass
class Past:
    """What a journal tells of the earlier life of a run.

    Args:
        steps: The last step of each metric and each picture.
        params: Parameters.
        settings: What stands for the settings of the latest life.
        uri: The store that it was recorded in.
        database: Its file as seen from the run's folder, where both lie in one project.
        models: The checkpoints that were told of, by their step: paths in the run's folder.
        scores: What the checkpoints of steps have scored, if there are any.
        status: The last status; empty for a record that is not ours to end.
    """

    steps: dict[str, int] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    uri: str = ""
    database: str = ""
    models: dict[int, list[str]] = field(default_factory=dict)
    scores: dict[int, Plain] = field(default_factory=dict)
    status: str = ""


class Journal:
    """One record's journal, how far it was sent, and who writes it.

    Args:
        path: The file, called by MLflow's id of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.stem
        self.run_folder = path.parent.parent
        self._mark = path.with_suffix(".sent")
        self._writing = threading.Lock()
        self._life: FileLock | None = None

    @classmethod
    def of(cls, folder: Path, run_id: str) -> Journal:
        """Return a run's journal, its folder made."""
        (folder / FOLDER).mkdir(exist_ok=True)
        return cls(folder / FOLDER / f"{run_id}.jsonl")

    def append(self, *entries: Entry) -> None:
        """Add entries; this is all that training waits for."""
        lines = "".join(f"{json.dumps(entry, default=str)}\n" for entry in entries)
        with self._writing, self.path.open("ab") as file:
            file.write(lines.encode())

    def past(self) -> Past:
        """Read the whole journal."""
        past = Past()
        for entry, _ in self._read(0):
            _learn(past, entry)
        return past

    def batch(self) -> tuple[list[Entry], int]:
        """Return the next entries that go into one request, and where the journal stands after them."""
        offset: int = self._sent()["offset"]
        entries: list[Entry] = []
        room = dict(_MOST)
        for entry, end in self._read(offset):
            fits = all(len(entry.get(kind, ())) <= room[kind] for kind in BATCHED)
            if entries and not (fits and is_batched(entry) and is_batched(entries[-1])):
                break
            entries.append(entry)
            offset = end
            room = {kind: left - len(entry.get(kind, ())) for kind, left in room.items()}
        return entries, offset

    def acknowledge(self, entries: list[Entry], offset: int) -> None:
        """Note that entries have arrived."""
        statuses = [entry["status"] for entry in entries if "status" in entry]
        sent = {**self._sent(), "offset": offset} | ({"status": statuses[-1]} if statuses else {})
        partial = self._mark.with_suffix(f".{uuid.uuid4().hex[:8]}")
        partial.write_text(json.dumps(sent), encoding="utf-8")
        partial.replace(self._mark)

    @property
    def pending(self) -> int:
        """How many bytes have not been sent."""
        return int(self.path.stat().st_size - self._sent()["offset"]) if self.path.is_file() else 0

    @property
    def left(self) -> int:
        """How many entries have not been sent."""
        return sum(1 for _ in self._read(self._sent()["offset"]))

    @property
    def status(self) -> str:
        """The run's last status, whether or not MLflow has it."""
        return self.past().status if self.pending else str(self._sent().get("status", ""))

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Context in which no other process or thread sends this journal."""
        with FileLock(self.path.with_suffix(".lock"), thread_local=False):
            yield

    def live(self) -> None:
        """Say, for as long as this process lives, that the run goes on; end a line that a killed one left torn."""
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            self.append({})
        self._life = FileLock(self.path.with_suffix(f".{uuid.uuid4().hex[:8]}.alive"), thread_local=False)
        self._life.acquire()

    def leave(self) -> None:
        """Say that this process has nothing more to add."""
        if self._life is not None:
            self._life.release()
            Path(self._life.lock_file).unlink(missing_ok=True)
            self._life = None

    def is_alive(self) -> bool:
        """Whether a process writes this journal; the lock of a dead one can be taken."""
        for path in self.path.parent.glob(f"{self.run_id}.*.alive"):
            try:
                with FileLock(path, timeout=0, thread_local=False):
                    path.unlink(missing_ok=True)
            except Timeout:
                return True
        return False

    def _sent(self) -> dict[str, Json]:
        try:
            sent: dict[str, Json] = json.loads(self._mark.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"offset": 0}
        return sent

    def _read(self, offset: int) -> Iterator[tuple[Entry, int]]:
        """Yield whole entries with the place where each ends."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    entry = json.loads(line)
                except ValueError:  # torn by a kill
                    entry = {}
                yield entry, offset


def is_batched(entry: Entry) -> bool:
    """Whether an entry may share a request with others."""
    return not entry or "scored" in entry or any(kind in entry for kind in BATCHED)


def journals(folder: Path) -> list[Journal]:
    """Return the journals of a run, of a sweep with its runs, or of a whole folder of runs, evaluations included."""
    depths = ("", "*/", "*/*/", "evaluations/*/", "*/evaluations/*/", "*/*/evaluations/*/")
    found = {path for depth in depths for path in folder.glob(f"{depth}{FOLDER}/*.jsonl")}
    return [Journal(path) for path in sorted(found)]


def _learn(past: Past, entry: Entry) -> None:
    step = entry.get("step", -1)
    for key in (*entry.get("metrics", ()), *([entry["key"]] if "key" in entry else ())):
        past.steps[key] = max(step, past.steps.get(key, -1))
    past.params |= entry.get("params", {})
    if "kept" in entry:
        past.models.setdefault(step, []).append(entry["kept"])
    if "scores" in entry:
        past.scores[step] = {key: entry[key] for key in ("scores", "higher", "data", "about", "time")}
    if "pruned" in entry:
        past.models.pop(entry["pruned"], None)
    for name in ("settings", "uri", "database", "status"):
        if name in entry:
            setattr(past, name, entry[name])
