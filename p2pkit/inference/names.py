"""Models that lie elsewhere: MLflow's names of them, and those of the Hugging Face Hub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from p2pkit.engine.storage.layout import STATE
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.mlflow_store import tracking_uri

_MLFLOW = ("runs:/", "models:/", "mlflow-artifacts:/")
_HUB = "hf://"
_DESCRIPTION = "MLmodel"
_WHERE = "where.json"
_BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


def fetch_model(name: str | Path) -> str | Path:
    """Return where a model lies on this machine, having fetched it if its name says that it lies elsewhere.

    Args:
        name: Any name of a model; one of a run or a checkpoint is returned as it is.

    Raises:
        ModelError: It can't be fetched, or it is no model of p2pkit.
    """
    text = os.fspath(name)
    if text.startswith(_MLFLOW):
        return _checkpoint_in(_from_mlflow(text), text)
    if text.startswith(_HUB):
        return _from_hub(text)
    return _checkpoint_in(Path(text), text) if os.path.isfile(Path(text, _DESCRIPTION)) else name


def _from_mlflow(uri: str) -> Path:
    try:
        from mlflow.artifacts import download_artifacts

        with _no_bars():
            return Path(download_artifacts(artifact_uri=uri, tracking_uri=tracking_uri()))
    except Exception as error:  # of MLflow, and of whatever store it asks
        cause = f"MLflow at {tracking_uri()} does not give it: {first_line(error)}"
        raise ModelError(Problem(uri, cause, "look at its name in p2pkit ui, or set MLFLOW_TRACKING_URI")) from None


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep MLflow's own progress bars off the screen of who has not asked for them."""
    asked = _BARS in os.environ
    os.environ.setdefault(_BARS, "false")
    try:
        yield
    finally:
        if not asked:
            os.environ.pop(_BARS, None)


def _from_hub(name: str) -> Path:
    repository, _, revision = name.removeprefix(_HUB).partition("@")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, revision=revision or None))
    except ImportError:
        raise ModelError(Problem(name, "huggingface_hub is not installed", "pip install 'p2pkit[hub]'")) from None
    except Exception as error:  # of the network, and of the hub
        raise ModelError(Problem(name, f"can't be fetched: {first_line(error)}")) from None


def _checkpoint_in(folder: Path, name: str) -> Path:
    """Return the checkpoint in an MLflow model's folder."""
    found = sorted(file.parent for file in folder.rglob(STATE)) or [*_noted(folder)]
    if not found:
        raise ModelError(Problem(name, "is no model of p2pkit whose checkpoint is on this machine"))
    return found[0]


def _noted(folder: Path) -> Iterator[Path]:
    """Yield the checkpoint whose place a model notes, where that is on this machine."""
    for file in folder.rglob(_WHERE):
        with suppress(OSError, ValueError, KeyError, TypeError):
            place = Path(json.loads(file.read_text(encoding="utf-8"))["checkpoint"])
            if os.path.isfile(place / STATE):
                yield place
