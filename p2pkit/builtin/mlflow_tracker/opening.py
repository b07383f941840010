"""A run's record in MLflow: made anew, the one that it was, or the caller's active one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pkit import PluginError, Problem, Run, first_line, tracking_uri
from p2pkit.builtin.mlflow_tracker import home, naming, store
from p2pkit.builtin.mlflow_tracker.registering import check_registry
from p2pkit.mlflow_store import RUN_ID_FILE, open_store
from p2pkit.passwords import without_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun


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
    from mlflow.exceptions import MlflowException

    uri = tracking_uri()
    store.check_reachable(uri)
    with store.quiet(), store.limited():
        try:
            client = open_store(uri)
            found = home.find_home(client, run)
            if found.run_id is not None:  # before another run looks whether it is taken
                client.set_tag(found.run_id, home.FOLDER, str(run.folder.absolute()))
            run_id = found.run_id or reopened(client, run) or created(client, uri, run, found.parent)
            params = client.get_run(run_id).data.params
            wanted = run.config["tracking"].get("register")
            if run.kind == "training" and wanted is not None:
                check_registry(client, wanted)
        except MlflowException as error:
            cause = f"{without_password(uri)} does not take the run: {first_line(error)}"
            raise PluginError(Problem("MLFLOW_TRACKING_URI", cause, "p2pkit doctor looks for the reason")) from error
    (run.folder / RUN_ID_FILE).write_text(f"{run_id}\n", encoding="utf-8")
    return Record(client, uri, run_id, found.owned, params)


def created(client: MlflowClient, uri: str, run: Run, parent: MlflowRun | None = None) -> str:
    """Make a record of the run.

    Args:
        client: A client of the store.
        uri: The store's address.
        run: The run.
        parent: The record that it is nested below.

    Returns:
        Its id.
    """
    from mlflow.tracking.context.registry import resolve_tags

    experiment = parent.info.experiment_id if parent else home.experiment_id(client, uri, run)
    about = naming.about(run.config)
    tags: dict[str, str] = resolve_tags() | naming.colour_tag(client, experiment, run)
    if "git" in run.versions:
        tags["mlflow.source.git.commit"] = run.versions["git"]
    if parent:
        tags[home.PARENT] = parent.info.run_id
    if about:
        tags[naming.DESCRIPTION] = about
    name = naming.run_name(run, _evaluated_name(client, run))
    created: str = client.create_run(experiment, tags=tags, run_name=name).info.run_id
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


def _evaluated_name(client: MlflowClient, run: Run) -> str | None:
    """Return what the training is called that an evaluation scores; None where the store lacks it."""
    from mlflow.exceptions import MlflowException

    for run_id in kinship(run).values():
        with suppress(MlflowException):
            return str(client.get_run(run_id).info.run_name)
    return None


def kinship(run: Run) -> dict[str, str]:
    """Return the tag that ties an evaluation to the training whose folder it lies in."""
    if run.kind != "evaluation":
        return {}
    notes = (folder / RUN_ID_FILE for folder in run.folder.absolute().parents)
    note = next((note for note in notes if note.is_file()), None)
    return {"p2pkit.evaluates": note.read_text(encoding="utf-8").strip()} if note else {}
