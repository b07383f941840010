"""Checkpoints at an address: sent in order, whole or not at all, tried again, and fetched."""

from __future__ import annotations

import json
import threading

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from p2pkit import StorageError
from p2pkit.atomic_files import remove_folder
from p2pkit.engine.storage import mirror as room
from p2pkit.engine.storage.layout import checkpoint_name, prune
from p2pkit.engine.storage.mirror import Mirror, fetch, is_sent_to, mirror_problems


class Unsure(MemoryFileSystem):
    """An address that refuses as often as it is told to, and does not end a write before it may."""

    protocol = "unsure"
    store = {}  # noqa: RUF012  the place of all of its kind
    pseudo_dirs = [""]  # noqa: RUF012  as above
    refusals = 0
    asked, refused, may_write = (threading.Event() for _ in range(3))
    written = []  # noqa: RUF012  as above

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("unsure://", "memory://"))

    def open(self, path, mode="rb", **options):
        if "w" in mode:
            if Unsure.refusals:
                Unsure.refusals -= 1
                if Unsure.refusals == 10**9 - 3:  # by then the first one is known
                    Unsure.refused.set()
                raise ConnectionError("the line is down")
            Unsure.asked.set()
            assert Unsure.may_write.wait(10)
            Unsure.written.append(path.rpartition("runs/")[2])
        return super().open(path, mode, **options)


fsspec.register_implementation("unsure", Unsure)
ADDRESS = "unsure://bucket/runs"


@pytest.fixture(autouse=True)
def there(monkeypatch):
    monkeypatch.setattr(room, "_PAUSES", (0.01,))
    Unsure.store.clear()
    Unsure.pseudo_dirs[:] = [""]
    Unsure.written.clear()
    Unsure.refusals = 0
    Unsure.may_write.set()
    Unsure.asked.clear()
    Unsure.refused.clear()


@pytest.fixture
def run(tmp_path):
    """A run's folder, in which `run(3)` writes a checkpoint."""
    folder = tmp_path / "here" / "first"
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text("generator: unet\n")
    (folder / "mlflow.id").write_text("cafe\n")

    def write(step, kind="checkpoints"):
        path = folder / kind / checkpoint_name(step)
        (path / "plugins").mkdir(parents=True)
        (path / "plugins" / "mine.py").write_text("pass\n")
        (path / "generator.safetensors").write_bytes(bytes([step]) * 100)
        (path / "state.json").write_text(json.dumps({"step": step}))
        return path

    return folder, write


def sent():
    """Return the whole checkpoints that lie there."""
    found = fsspec.filesystem("unsure").find("/bucket/runs")
    return sorted(name.removeprefix("/bucket/runs/") for name in found if name.endswith("state.json"))


def names(*steps, kind="checkpoints"):
    return [f"first/{kind}/{checkpoint_name(step)}/state.json" for step in steps]


def test_each_checkpoint_is_sent_and_comes_back_as_it_was(run, tmp_path):
    folder, write = run
    mirror = Mirror(folder, ADDRESS)
    assert not is_sent_to(ADDRESS, "first")
    for step in (1, 2):
        assert mirror.checkpointed(step, write(step), best=False) is None
    mirror.checkpointed(1, write(1, "best"), best=True)
    assert mirror.ended(None, "") is None
    assert sent() == sorted([*names(1, 2), *names(1, kind="best")])
    assert Unsure.written[:5] == [f"first/checkpoints/step-00000001/{name}" for name in FILES] + BESIDE
    assert is_sent_to(ADDRESS, "first")
    assert not is_sent_to(ADDRESS, "second")
    assert not is_sent_to(None, "first")

    other = tmp_path / "elsewhere" / "first"
    assert fetch(ADDRESS, other) == other
    assert _contents(other / "checkpoints") == {k: v for k, v in _contents(folder / "checkpoints").items() if "2" in k}
    assert _contents(other / "best") == _contents(folder / "best")
    assert (other / "run.yaml").read_text() == "generator: unet\n"
    assert (other / "mlflow.id").read_text() == "cafe\n"  # so that trackers go on with it too


BESIDE = ["first/run.yaml", "first/mlflow.id"]
FILES = ["generator.safetensors", "plugins/mine.py", "state.json"]


def _contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_training_does_not_wait_and_the_end_does(run):
    folder, write = run
    Unsure.may_write.clear()
    mirror = Mirror(folder, ADDRESS)
    for step in (1, 2, 3):
        mirror.checkpointed(step, write(step), best=False)
    assert sent() == []
    Unsure.may_write.set()
    mirror.ended(None, "")
    assert sent() == names(1, 2, 3)


def test_what_is_removed_here_is_removed_there(run):
    folder, write = run
    mirror = Mirror(folder, ADDRESS)
    for step in (1, 2, 3):
        path = write(step)
        prune(folder / "checkpoints", 2)
        mirror.checkpointed(step, path, best=False)
    mirror.ended(None, "")
    assert sent() == names(2, 3)
    again = Mirror(folder, ADDRESS)
    prune(folder / "checkpoints", 1)
    again.went_back(3)
    again.ended(None, "")
    assert sent() == names(3)


def test_one_that_is_removed_while_it_is_sent_arrives_whole(run):
    folder, write = run
    Unsure.may_write.clear()
    mirror = Mirror(folder, ADDRESS)
    mirror.checkpointed(1, write(1), best=False)
    assert Unsure.asked.wait(10)
    remove_folder(folder / "checkpoints" / checkpoint_name(1))
    Unsure.may_write.set()
    mirror.ended(None, "")
    assert Unsure.written[:5] == [*(f"first/checkpoints/step-00000001/{name}" for name in FILES), *BESIDE]


def test_a_failure_is_told_once_and_tried_again(run):
    folder, write = run
    Unsure.refusals = 10**9
    mirror = Mirror(folder, ADDRESS)
    mirror.checkpointed(1, write(1), best=False)
    assert Unsure.refused.wait(10)
    told = [mirror.scalars(2, {}) for _ in range(3)]
    assert told == [f"checkpoint.mirror: {ADDRESS}: ConnectionError: the line is down; {TRIED}", None, None]
    Unsure.refusals = 2
    assert mirror.ended(None, "") is None
    assert sent() == names(1)


TRIED = "the training goes on, and it is tried again"


def test_what_does_not_get_through_is_told_and_sent_by_the_next_part_of_the_run(run, monkeypatch):
    folder, write = run
    monkeypatch.setattr(room, "PATIENCE", 0.2)
    Unsure.refusals = 10**9
    mirror = Mirror(folder, ADDRESS)
    mirror.checkpointed(7, write(7), best=False)
    said = mirror.ended(None, "")
    assert said == (
        f"checkpoint.mirror: {ADDRESS} lacks step-00000007: ConnectionError: the line is down; "
        "it is sent when the run goes on"
    )
    Unsure.refusals = 0
    mirror._thread.join(5)
    Unsure.store.clear()
    Mirror(folder, ADDRESS).ended(None, "")
    assert sent() == names(7)
    count = len(Unsure.written)
    Mirror(folder, ADDRESS).ended(None, "")  # has nothing to add
    assert len(Unsure.written) == count


def test_half_a_checkpoint_is_none(run, tmp_path):
    folder, write = run
    for step in (1, 2):
        write(step)
    Mirror(folder, ADDRESS).ended(None, "")
    fsspec.filesystem("unsure").rm_file("/bucket/runs/first/checkpoints/step-00000002/state.json")
    fetch(ADDRESS, tmp_path / "first")
    assert [path.name for path in (tmp_path / "first" / "checkpoints").iterdir()] == ["step-00000001"]
    fetch(ADDRESS, folder)  # has a later one
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["step-00000001", "step-00000002"]
    assert fetch(ADDRESS, tmp_path / "unknown") is None


def test_an_address_may_be_a_folder(run, tmp_path):
    folder, write = run
    write(1)
    Mirror(folder, str(tmp_path / "there")).ended(None, "")
    assert (tmp_path / "there" / "first" / "checkpoints" / "step-00000001" / "state.json").is_file()


def test_addresses_that_can_not_be_used(monkeypatch):
    assert mirror_problems(None) == mirror_problems(ADDRESS) == []
    (problem,) = mirror_problems("nowhere://bucket")
    assert (problem.path, "nowhere" in problem.cause) == ("checkpoint.mirror", True)
    assert "secret" not in str(mirror_problems("nowhere://me:secret@host/runs")[0])

    def refuse(self, path):
        raise PermissionError("403")

    monkeypatch.setattr(Unsure, "isdir", refuse)
    with pytest.raises(StorageError, match=r"checkpoint\.mirror: unsure://bucket/runs can't be read: .*403"):
        is_sent_to(ADDRESS, "first")
