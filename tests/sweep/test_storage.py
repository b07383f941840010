"""Where a sweep's study lies, and what goes wrong on the way there."""

from __future__ import annotations

import json
import socket
import sys

import optuna
import pytest

from p2pkit import ModelError, StorageError
from p2pkit.sweep import storage
from p2pkit.sweep.storage import answering, note_storage, noted_storage, open_storage

SECRET = "postgresql://me:secret@host/db"


@pytest.fixture
def nobody():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_a_folder_says_where_its_study_lies_without_a_password(tmp_path):
    note_storage(tmp_path, "s", None)
    assert noted_storage(tmp_path) == ("s", None)
    note_storage(tmp_path, "s", SECRET)
    assert noted_storage(tmp_path) == ("s", "postgresql://me@host/db")


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        (None, "no sweep to go on with"),
        ("no JSON", "no sweep to go on with"),
        ({"study": "s"}, "no sweep to go on with"),
        ({"config": {}, "units": []}, "begun by an earlier p2pkit"),
    ],
)
def test_folders_that_hold_no_sweep_of_today(tmp_path, written, cause):
    if written is not None:
        (tmp_path / "sweep.json").write_text(written if isinstance(written, str) else json.dumps(written))
    with pytest.raises(ModelError, match=cause):
        noted_storage(tmp_path)


def test_a_file_is_the_storage_by_default(tmp_path):
    optuna.create_study(storage=open_storage(None, tmp_path), study_name="s")
    assert optuna.get_all_study_names(open_storage(None, tmp_path)) == ["s"]
    assert (tmp_path / "sweep.journal").stat().st_size > 0


@pytest.mark.parametrize(("kind", "module"), [("postgresql", "psycopg"), ("mysql", "pymysql"), ("grpc", "grpc")])
def test_a_server_that_does_not_answer_or_can_not_be_spoken_to(tmp_path, nobody, monkeypatch, kind, module):
    monkeypatch.setattr(storage, "_SECONDS", 0.2)
    address = f"{kind}://me:secret@127.0.0.1:{nobody}/db"
    try:
        __import__(module)
    except ImportError:
        pass
    else:
        with pytest.raises(StorageError, match=f"{kind}://me@127.0.0.1:{nobody}/db does not answer") as caught:
            open_storage(address, tmp_path)
        assert "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StorageError, match=rf"pip install 'p2pkit\[{kind}\]'"):
        open_storage(address, tmp_path)


def test_one_that_fails_later_is_an_error_for_users():
    with pytest.raises(StorageError, match="postgresql://me@host/db does not answer: gone"), answering(SECRET):
        raise optuna.exceptions.StorageInternalError("x") from OSError("gone")


@pytest.mark.slow
def test_many_reach_a_database_through_one_server(tmp_path, nobody, postgresql):
    pytest.importorskip("grpc", reason="grpcio is not installed: pip install 'p2pkit[grpc]'")
    from optuna.storages._grpc.server import make_server

    server = make_server(open_storage(postgresql, tmp_path), "127.0.0.1", nobody)
    server.start()
    try:
        optuna.create_study(storage=open_storage(f"grpc://127.0.0.1:{nobody}", tmp_path), study_name="s")
        assert optuna.get_all_study_names(open_storage(postgresql, tmp_path)) == ["s"]
    finally:
        server.stop(None)


def test_an_address_of_another_kind(tmp_path):
    with pytest.raises(StorageError, match="redis://here does not answer: Can't load plugin"):
        open_storage("redis://here", tmp_path)
