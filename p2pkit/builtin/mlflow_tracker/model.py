"""The trained generator as an MLflow model: the checkpoint itself, and `_load_pyfunc` to load it by."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import p2pkit
from p2pkit import PairSpec, Run
from p2pkit.builtin.mlflow_tracker.inputs import image_schema
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities import Run as RecordedRun
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray

NAME = "generator"


class Model:
    """What `mlflow.pyfunc.load_model` returns, behind MLflow's own wrapper.

    Args:
        folder: A checkpoint's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.translator = p2pkit.load(folder)

    def predict(self, model_input: NDArray[np.generic], params: object = None) -> NDArray[np.generic]:
        """Translate stored images.

        Shape: (B, H, W, C_source) -> (B, H, W, C_target), in the type given.
        """
        fakes: NDArray[np.generic] = self.translator.translate(model_input)
        return fakes


def _load_pyfunc(data_path: str) -> Model:
    """Load the model; MLflow calls this by name."""
    return Model(Path(data_path))


def model_entry(run: Run, checkpoint: Path, step: int) -> dict[str, Json]:
    """Return what a journal notes of a checkpoint, so that it can become a model without the run at hand."""
    where = checkpoint.absolute().relative_to(run.folder.absolute()).as_posix()
    return {
        "model": where,
        "step": step,
        "signature": signature(run.dataset.spec).to_dict(),
        "requirements": requirements(run),
    }


def log_model(client: MlflowClient, run_id: str, checkpoint: Path, entry: Plain) -> str:
    """Log a checkpoint's generator as the run's model; one whose logging was cut short is gone on with.

    Args:
        client: A client of the store.
        run_id: The run's id in MLflow.
        checkpoint: The checkpoint's folder.
        entry: What the journal notes of it.

    Returns:
        The model's id: `models:/<id>` loads it, and so does `runs:/<run id>/generator`.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import ModelSignature

    recorded = client.get_run(run_id)
    logged = _begun(client, recorded, entry["step"])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        data, folder = Path(temporary, "checkpoint"), Path(temporary, "model")
        data.mkdir()
        for file in p2pkit.inference_files(checkpoint):
            shutil.copy2(file, data)
        form = ModelSignature.from_dict(entry["signature"])
        identity = {"artifact_path": logged.artifact_location, "model_uuid": logged.model_id}
        _save(data, folder, form, entry["requirements"], run_id=run_id, model_id=logged.model_id, **identity)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    if logged.model_id not in [output.model_id for output in recorded.outputs.model_outputs]:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, entry["step"])])
    model_id: str = logged.model_id
    return model_id


def _begun(client: MlflowClient, run: RecordedRun, step: int) -> LoggedModel:
    """Return the run's model of a step, made where it is not there."""
    tags = {"p2pkit.run": run.info.run_id, "p2pkit.step": str(step)}
    wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_logged_models([run.info.experiment_id], filter_string=wanted)
    if found:
        return found[0]
    return client.create_logged_model(
        run.info.experiment_id,
        NAME,
        source_run_id=run.info.run_id,
        params=run.data.params,
        model_type="generator",
        tags=tags,
    )


def signature(images: PairSpec) -> ModelSignature:
    """Return the form of what a model is given, stored as the data set has it, and of what it makes of that."""
    from mlflow.models import ModelSignature

    return ModelSignature(image_schema(images.source), image_schema(images.target))


def _save(data: Path, folder: Path, signature: ModelSignature, pip_requirements: list[str], **identity: str) -> None:
    """Write a model's folder as MLflow wants it, without its advice on examples and on its own type hints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*(input example was not provided|Any type hint is inferred)")
        import mlflow.pyfunc
        from mlflow.models import Model as Description

        mlflow.pyfunc.save_model(
            folder,
            loader_module=__name__,
            data_path=str(data),
            signature=signature,
            pip_requirements=pip_requirements,
            mlflow_model=Description(**identity),
        )


def requirements(run: Run) -> list[str]:
    """Return the distributions that a model needs: p2pkit, torch, and those of the plugins its config names."""
    named = json.dumps(dict(run.config), default=str)
    plugins = [
        f"{entry.dist.name}=={entry.dist.version}"
        for entry in importlib.metadata.entry_points(group="p2pkit.plugins")
        if entry.dist is not None and entry.name in run.versions and f'"{entry.name}:' in named
    ]
    return [f"p2pkit=={p2pkit.__version__}", f"torch=={run.versions['torch'].partition('+')[0]}", *plugins]
