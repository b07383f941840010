"""Which run of MLflow a run of ours is recorded in, as the caller and MLflow's variables ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pkit import PluginError, Problem, Run
from p2pkit.builtin.mlflow_tracker import store
from p2pkit.mlflow_store import SWEEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

PARENT = "mlflow.parentRunId"
FOLDER = "p2pkit.folder"


@dataclass(frozen=True)
class Home:
    """Where a run is recorded.

    Args:
        run_id: A run that is there already; None where one is to be made.
        owned: Whether the run is ours to end; an active run of the caller's is not.
        parent: The run that a new one is nested below.
    """

    run_id: str | None = None
    owned: bool = True
    parent: MlflowRun | None = None


def find_home(client: MlflowClient, run: Run) -> Home:
    """Choose the caller's active run, or that of MLFLOW_RUN_ID; where it is taken, or several runs come, nest below.

    Raises:
        PluginError: MLFLOW_RUN_ID names no run.
    """
    import mlflow

    active = mlflow.active_run()
    given = active or _given(client)
    if given is None:
        return Home()
    tags = client.get_run(given.info.run_id).data.tags
    taken = tags.get(FOLDER) not in (None, str(run.folder.absolute()))
    if taken or SWEEP_TAG in run.config["tracking"]["tags"]:
        return Home(parent=given)
    return Home(given.info.run_id, owned=active is None)


def experiment_id(client: MlflowClient, uri: str, run: Run) -> str:
    """Return the experiment that MLflow's variables (or `mlflow.set_experiment`) name, else the config's."""
    from mlflow.environment_variables import MLFLOW_EXPERIMENT_ID, MLFLOW_EXPERIMENT_NAME

    own = MLFLOW_EXPERIMENT_ID.get()
    name = MLFLOW_EXPERIMENT_NAME.get() or run.config["tracking"]["experiment"]
    return str(own) if own else store.experiment_id(client, uri, name)


def _given(client: MlflowClient) -> MlflowRun | None:
    from mlflow.environment_variables import MLFLOW_RUN_ID
    from mlflow.exceptions import MlflowException

    run_id = MLFLOW_RUN_ID.get()
    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        cause = f"MLflow's store has no run {run_id}"
        raise PluginError(Problem("MLFLOW_RUN_ID", cause, "unset it to record a new run")) from None
