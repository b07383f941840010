"""A run's record in MLflow: made anew, the one that it was, or the caller's active one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from p2pkit import PluginError, Problem, Run, first_line, tracking_uri
from p2pkit.builtin.mlflow_tracker import store
from p2pkit.mlflow_store import RUN_ID_FILE, SWEEP_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class Record:
    """A run's record.

    Args:
        client: A client of the store.
        uri: The store's address.
        run_id: MLflow's id of the run.
        owned: Whether it is ours to end; an active run of the caller's is not.
        params: The parameters that it has.
    """

    client: MlflowClient
    uri: str
    run_id: str
    owned: bool
    params: Mapping[str, str]


def open_record(run: Run) -> Record:
    """Open the run's record, and note its id in the run's folder.

    Raises:
        PluginError: The store does not answer, or refuses.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = tracking_uri()
    store.check_reachable(uri)
    with store.quiet(), store.limited():
        try:
            client = mlflow.MlflowClient(tracking_uri=uri)
            active = mlflow.active_run()
            owned = active is None or SWEEP_TAG in run.config["tracking"]["tags"]  # several can't share a record
            run_id = (reopened(client, run) or created(client, uri, run)) if owned else active.info.run_id
            params = client.get_run(run_id).data.params
        except MlflowException as error:
            cause = f"{store.shown(uri)} does not take the run: {first_line(error)}"
            raise PluginError(Problem("MLFLOW_TRACKING_URI", cause, "p2pkit doctor looks for the reason")) from error
    (run.folder / RUN_ID_FILE).write_text(f"{run_id}\n", encoding="utf-8")
    return Record(client, uri, run_id, owned, params)


def created(client: MlflowClient, uri: str, run: Run) -> str:
    """Make a record of the run.

    Returns:
        Its id.
    """
    from mlflow.tracking.context.registry import resolve_tags

    experiment = store.experiment_id(client, uri, run.config["tracking"]["experiment"])
    about = "\n\n".join(filter(None, (run.config["summary"], run.config["origin"])))
    tags: dict[str, Any] = resolve_tags()
    if "git" in run.versions:
        tags["mlflow.source.git.commit"] = run.versions["git"]
    if about:
        tags["mlflow.note.content"] = about
    created: str = client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
    return created


def reopened(client: MlflowClient, run: Run) -> str | None:
    """Return the id of the run that a resumed training was; None where the store lacks it."""
    from mlflow.exceptions import MlflowException

    note = run.folder / RUN_ID_FILE
    if not (run.resumed and note.is_file()):
        return None
    run_id = note.read_text(encoding="utf-8").strip()
    try:
        if client.get_run(run_id).info.lifecycle_stage != "active":
            return None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # a store that fails now may well have it
            raise
        return None
    return run_id


def kinship(run: Run) -> dict[str, str]:
    """Return the tag that ties an evaluation to the training whose folder it lies in."""
    if run.kind != "evaluation":
        return {}
    notes = (folder / RUN_ID_FILE for folder in run.folder.absolute().parents)
    note = next((note for note in notes if note.is_file()), None)
    return {"p2pkit.evaluates": note.read_text(encoding="utf-8").strip()} if note else {}
