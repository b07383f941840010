"""Send what a run that is over, or still going on, has not got through; end the record of one that was killed."""

from __future__ import annotations

from pathlib import Path

from p2pkit import PluginError, Problem, tracking_uri
from p2pkit.builtin.mlflow_tracker import store
from p2pkit.builtin.mlflow_tracker.delivery import Delivery
from p2pkit.builtin.mlflow_tracker.journal import Journal, journals
from p2pkit.mlflow_store import database_file, open_store, sqlite_uri
from p2pkit.passwords import without_password


def replay(folder: Path, *, living: bool = True) -> str | None:
    """Send what the journals in and below a folder still hold, and set runs whose process is gone to KILLED.

    Args:
        folder: A run's folder, a sweep's, or the folder of all runs.
        living: Whether to send for runs that still go on, too, which do so themselves.

    Returns:
        What was done, in a sentence; None where there was nothing to do.

    Raises:
        PluginError: The store does not answer, or refuses.
    """
    said = []
    for journal in journals(folder):
        alive = journal.is_alive()
        if (living or not alive) and (told := _settle(journal, alive)):
            said.append(f"{journal.run_folder}: {told}")
    return "\n".join(said) or None


def _settle(journal: Journal, alive: bool) -> str:
    killed = not alive and journal.status == "RUNNING"
    if killed:
        last_sign = int(journal.path.stat().st_mtime * 1000)
        journal.append({"status": "KILLED", "time": last_sign})
    if not journal.pending:
        return ""
    uri = _uri(journal)
    left = journal.left
    delivery = _deliver(journal, uri)
    told = f"sent {left} entries to {without_password(uri)}"
    told = "; ".join([told, *delivery.said])
    if delivery.refused:
        told += f"; it refused {len(delivery.refused)}: {delivery.refused[0]}"
    return f"its process was killed, and MLflow says so now; {told}" if killed else told


def _deliver(journal: Journal, uri: str) -> Delivery:
    store.check_reachable(uri)
    delivery = Delivery(open_store(uri), journal)
    with store.limited(), store.hushed():
        try:
            delivery.forward()
        except Exception as error:
            cause = f"{without_password(uri)} did not take everything, {journal.left} entries are left: {error}"
            remedy = f"try again: p2pkit tracking replay {journal.run_folder}"
            raise PluginError(Problem(str(journal.run_folder), cause.partition("\n")[0], remedy)) from error
    return delivery


def _uri(journal: Journal) -> str:
    """Return the store that the run was recorded in, unless it is not there any more or the user names one.

    A database of the run's own project is the one of the project that its folder lies in now: copies are apart.
    """
    import mlflow

    past = journal.past()
    if past.database and not mlflow.is_tracking_uri_set():
        beside = (journal.run_folder.absolute() / past.database).resolve()
        return sqlite_uri(beside) if beside.is_file() else tracking_uri()
    database = database_file(past.uri)
    gone = database is not None and not database.is_file()
    return tracking_uri() if mlflow.is_tracking_uri_set() or not past.uri or gone else past.uri
