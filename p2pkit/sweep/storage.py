"""Where a sweep's study lies: a file in the sweep's folder, or a server that many machines reach."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from p2pkit.atomic_files import atomic_file
from p2pkit.errors import ModelError, Problem, StorageError, first_line
from p2pkit.passwords import without_password

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

STATE = "sweep.json"
"""File in a sweep's folder that says where its study lies."""
JOURNAL = "sweep.journal"
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_SECONDS = 10


def open_storage(address: str | None, folder: Path) -> BaseStorage:
    """Open the storage of a study.

    The file is Optuna's journal, which unlike SQLite needs no locks that network folders lack.

    Args:
        address: The server's; None for a file in the sweep's folder.
        folder: The sweep's folder.

    Raises:
        StorageError: The server does not answer, or what speaks to it is not installed.
    """
    from optuna.storages import GrpcStorageProxy, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.pool import NullPool

    logging.getLogger("optuna").setLevel(logging.WARNING)
    if address is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    kind, place = address.partition("://")[0], urlsplit(address)
    try:
        with answering(address), quiet():
            if kind != "grpc":  # a connection for each question, since a server closes one that is kept for hours
                named = address.replace(kind, _DRIVERS.get(kind, kind), 1)
                return RDBStorage(named, engine_kwargs={"poolclass": NullPool})
            proxy = GrpcStorageProxy(host=place.hostname or "localhost", port=place.port or 13000)
            proxy.wait_server_ready(timeout=_SECONDS)
            return proxy
    except ImportError as error:
        remedy = f"pip install 'p2pkit[{kind.partition('+')[0]}]'"
        raise StorageError(Problem("sweep.storage", first_line(error), remedy)) from None


@contextmanager
def answering(address: str | None) -> Iterator[None]:
    """Context in which a storage that fails is an error for users.

    Raises:
        StorageError: It does not answer, or refuses.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    grpc = sys.modules.get("grpc")
    failures = (StorageInternalError, SQLAlchemyError, ConnectionError, *([grpc.RpcError] if grpc else ()))
    try:
        yield
    except failures as error:
        if address is None:
            raise
        cause = f"{address} does not answer: {first_line(error.__cause__ or error)}"
        remedy = "is it the right address, and does the server run?"
        raise StorageError(Problem("sweep.storage", cause, remedy)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Context in which Optuna does not warn of what is meant so here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def note_storage(folder: Path, study: str, address: str | None) -> None:
    """Write in a sweep's folder where its study lies; a password is not written down."""
    noted = {"study": study, "storage": address and without_password(address)}
    with atomic_file(folder / STATE) as partial:
        partial.write_text(json.dumps(noted), encoding="utf-8")


def noted_storage(folder: Path) -> tuple[str, str | None]:
    """Read a study's name, and where it lies.

    Raises:
        ModelError: There is no sweep in this folder, or one that an earlier p2pkit began.
    """
    try:
        found = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if "units" not in found:
            return found["study"], found["storage"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(Problem(str(folder), f"there is no sweep to go on with: {error}")) from None
    remedy = "begin it anew; its finished runs are shown by p2pkit compare"
    raise ModelError(Problem(str(folder), "this sweep was begun by an earlier p2pkit", remedy))
