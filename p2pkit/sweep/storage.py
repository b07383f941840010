"""Where a sweep's study lies: a file in the sweep's folder, or a server that many machines reach."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from p2pkit.atomic_files import atomic_file
from p2pkit.errors import ModelError, Problem, StorageError, first_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

STATE = "sweep.json"
"""File in a sweep's folder that says where its study lies."""
JOURNAL = "sweep.journal"
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
_PORT = 13000


def open_storage(address: str | None, folder: Path) -> BaseStorage:
    """Open the storage of a study.

    A file of Optuna's journal needs no locks but such as network folders have, which SQLite does not.

    Args:
        address: The server's; None for a file in the sweep's folder.
        folder: The sweep's folder.

    Raises:
        StorageError: The server does not answer, or what speaks to it is not installed.
    """
    from optuna import storages
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.pool import NullPool

    logging.getLogger("optuna").setLevel(logging.WARNING)
    if address is None:
        return storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    kind, _, rest = address.partition("://")
    try:
        with answering(address):
            if kind == "grpc":
                return _proxy(address)
            named = kind if "+" in kind else f"{kind}+{_DRIVERS[kind]}"
            # A connection for each question: between two of them a server may close one that is kept.
            return storages.RDBStorage(f"{named}://{rest}", engine_kwargs={"poolclass": NullPool})
    except ImportError as error:
        extra = kind.partition("+")[0]
        raise StorageError(Problem("sweep.storage", first_line(error), f"pip install 'p2pkit[{extra}]'")) from None


def _proxy(address: str) -> BaseStorage:
    from optuna.storages import GrpcStorageProxy

    place = urlsplit(address)
    with quiet():
        proxy = GrpcStorageProxy(host=place.hostname or "localhost", port=place.port or _PORT)
    proxy.wait_server_ready(timeout=10)
    return proxy


@contextmanager
def answering(address: str | None) -> Iterator[None]:
    """Context in which a storage that fails is an error for users.

    Raises:
        StorageError: It does not answer, or refuses.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError, ConnectionError) as error:
        cause = f"{without_password(address)} does not answer: {first_line(error.__cause__ or error)}"
        raise StorageError(
            Problem("sweep.storage", cause, "is it the right address, and does the server run?")
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Context in which Optuna does not warn of what is meant so here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def note_storage(folder: Path, study: str, address: str | None) -> None:
    """Write in a sweep's folder where its study lies; a password is not written down."""
    with atomic_file(folder / STATE) as partial:
        partial.write_text(json.dumps({"study": study, "storage": without_password(address)}), encoding="utf-8")


def noted_storage(folder: Path) -> tuple[str, str | None]:
    """Read a study's name, and where it lies.

    Raises:
        ModelError: There is no sweep in this folder, or one that an earlier p2pkit began.
    """
    try:
        found = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if "units" in found:
            remedy = "begin it anew; its finished runs are shown by p2pkit compare"
            raise ModelError(Problem(str(folder), "this sweep was begun by an earlier p2pkit", remedy))
        return found["study"], found["storage"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(Problem(str(folder), f"there is no sweep to go on with: {error}")) from None


def without_password(address: str | None) -> str | None:
    """Return an address as it may be shown."""
    parts = urlsplit(address or "")
    return address.replace(f":{parts.password}@", "@", 1) if address and parts.password else address
