"""Whether runs can be written and recorded: the folder of runs, and MLflow's store."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from p2pkit.doctor.finding import Finding
from p2pkit.mlflow_store import SQLITE, database_file, is_server, tracking_uri
from p2pkit.passwords import without_password

_PATIENCE = 5.0
_NO_ROOM = 0.1  # GiB
_UNSET = "start it, or unset MLFLOW_TRACKING_URI to record runs in this folder"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def look_at_folder(folder: Path) -> Iterator[Finding]:
    """Look whether a folder can be written to, or made, and how much room there is."""
    existing = _nearest(folder.absolute())
    room = shutil.disk_usage(existing).free / 2**30
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        cause = f"{existing} can't be written to: {error.strerror}"
        yield Finding("folders", str(folder), "broken", cause, "work elsewhere, or set tracking.folder")
        return
    fact = f"{folder.absolute()}, {room:.0f} GiB free"
    state: Literal["fine", "note", "broken"] = "broken" if room < _NO_ROOM else "note" if room < 1 else "fine"
    yield Finding("folders", str(folder), state, fact, "" if state == "fine" else "make room for checkpoints")


def look() -> Iterator[Finding]:
    """Look whether MLflow's store answers, within seconds; a store that is not there yet is not made."""
    try:
        uri = tracking_uri()
    except Exception:  # packages.look() has said that MLflow can't be imported
        return
    try:
        scheme = urlsplit(uri).scheme
    except ValueError as error:
        yield _finding("broken", f"MLFLOW_TRACKING_URI is no address: {error}", "mend or unset it")
        return
    database = database_file(uri)
    if database is not None:
        yield (found := _database(database))
        if found.state == "fine" and database.exists():
            yield from _left_running(database)
    elif is_server(uri):
        yield _server(uri)
    elif scheme.partition("+")[0] in _PORTS:
        yield _answers(uri)
    else:
        yield _finding("note", f"{without_password(uri)}: not looked into")


def _finding(state: str, fact: str, remedy: str = "") -> Finding:
    return Finding("store", "mlflow", state, fact, remedy)  # type: ignore[arg-type]  # one of the three literals


def _database(file: Path) -> Finding:
    if not file.exists():
        above = _nearest(file.parent)  # MLflow makes folders that are not there
        if above.is_dir() and os.access(above, os.W_OK):
            return _finding("fine", f"{file}, which the first run makes")
        remedy = "make it writable, or set MLFLOW_TRACKING_URI to a database elsewhere"
        return _finding("broken", f"{file} can't be made: {above} can't be written to", remedy)
    address = f"file:{quote(str(file))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as connection:
            tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
            if not {"runs", "experiments"} <= tables:
                return _finding("broken", f"{file} has no tables of MLflow", "move it away, and the next run makes one")
            count = connection.execute("select count(*) from runs").fetchone()[0]
            version, *_ = connection.execute("select version_num from alembic_version").fetchone() or ("",)
    except sqlite3.Error as error:
        return _finding("broken", f"{file} can't be read: {error}", "restore it from a copy, or move it away")
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):  # SQLite writes a journal beside it
        return _finding("broken", f"{file} can't be written to", "make it and its folder writable, or move it away")
    if shutil.disk_usage(file.parent).free < _NO_ROOM * 2**30:
        return _finding("broken", f"the disk of {file} is full", "make room, else runs go on without their records")
    if _is_outdated(version):
        remedy = f"make a copy of it, then: mlflow db upgrade {SQLITE}{file}"
        return _finding("broken", f"{file} was written by another version of MLflow", remedy)
    return _finding("fine", f"{file}, {count} runs")


def _left_running(file: Path) -> Iterator[Finding]:
    """Name runs that say they are running, and of which nothing was heard for an hour."""
    silent = """select runs.name, coalesce(max(latest_metrics.timestamp), runs.start_time) as heard
        from runs left join latest_metrics using (run_uuid)
        where runs.status = 'RUNNING' and runs.lifecycle_stage = 'active' group by run_uuid having heard < ?"""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
        names = [str(row[0]) for row in connection.execute(silent, (1000 * (time.time() - 3600),))]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            fact = f"{', '.join(names[:3])}{more}: recorded as running, and silent for over an hour"
            remedy = "where it was killed, go on with it by p2pkit train --resume RUN, or delete it in p2pkit ui"
            yield Finding("store", "runs", "note", fact, remedy)


def _is_outdated(version: str) -> bool:
    """Compare a database's version with that of the installed MLflow, where it can be told."""
    import mlflow
    from alembic.script import ScriptDirectory

    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    return migrations.is_dir() and version not in ScriptDirectory(str(migrations)).get_heads()


def _server(uri: str) -> Finding:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_PATIENCE):  # http, as seen above  # nosec B310
            return _finding("fine", f"{without_password(uri)} answers")
    except urllib.error.HTTPError as error:
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if error.code in (401, 403) else _UNSET
        return _finding("broken", f"{without_password(uri)} answers with {error.code} {error.reason}", remedy)
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # URLError wraps what went wrong
        return _finding("broken", f"no MLflow server answers at {without_password(uri)}: {cause}", _UNSET)


def _answers(uri: str) -> Finding:
    """Ask a database's server for a connection."""
    parts = urlsplit(uri)
    port = parts.port or _PORTS[parts.scheme.partition("+")[0]]
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout=_PATIENCE).close()
    except OSError as error:
        return _finding("broken", f"no database answers at {without_password(uri)}: {error}", _UNSET)
    return _finding("fine", f"{without_password(uri)} answers")


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
