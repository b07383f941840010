"""Bring a journal's entries to MLflow, each once: what may have arrived before is asked for first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit.builtin.mlflow_tracker.journal import Entry, Journal, is_batched
from p2pkit.builtin.mlflow_tracker.model import Shelf
from p2pkit.builtin.mlflow_tracker.registering import register

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")


class Delivery:
    """Sends one journal's entries.

    Args:
        client: A client of the store.
        journal: The journal.
    """

    def __init__(self, client: MlflowClient, journal: Journal) -> None:
        self.client = client
        self.journal = journal
        self.run_id = journal.run_id
        self.refused: list[str] = []
        self.said: list[str] = []
        """What the user should know of what was sent."""
        self._doubtful = True

    def forward(self, arrived: Callable[[], bool] = lambda: True) -> None:
        """Send all that is pending, request by request.

        Args:
            arrived: Called after each request; tells whether to go on.

        Raises:
            Exception: Whatever the store's client raises; what it was about stays pending.
        """
        while self.journal.pending:
            with self.journal.sending():
                entries, end = self.journal.batch()
                if entries:
                    self._send(entries)
                    self.journal.acknowledge(entries, end)
            if not (entries and arrived()):
                return

    def _send(self, entries: Sequence[Entry]) -> None:
        from mlflow.exceptions import MlflowException

        doubtful, self._doubtful = self._doubtful, True
        try:
            self._log(entries, doubtful=doubtful)
        except MlflowException as error:
            if not self._refuses(error):
                raise
            if len(entries) == 1:  # sent again, it would be refused again and stop all that follows
                self.refused.append(str(error).partition("\n")[0])
            else:
                for entry in entries:
                    self._send([entry])
        self._doubtful = False

    def _refuses(self, error: Exception) -> bool:
        """Whether it is the entry that is wrong, and neither the way to the store nor the run."""
        if getattr(error, "error_code", "") not in _REFUSALS or "Response body" in str(error):
            return False
        return bool(self.client.get_run(self.run_id).info.lifecycle_stage == "active")

    def _log(self, entries: Sequence[Entry], *, doubtful: bool) -> None:
        if all(map(is_batched, entries)):
            self._log_batch(entries, doubtful=doubtful)
            return
        for entry in entries:
            for kind in ("inputs", "text", "file", "image", "untag", "kept", "pruned", "model", "status"):
                if kind in entry:
                    getattr(self, f"_log_{kind}")(entry)

    def _log_batch(self, entries: Sequence[Entry], *, doubtful: bool) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(key, value, entry["time"], entry["step"])
            for entry in entries
            for key, value in entry.get("metrics", {}).items()
        ]
        params = {key: value for entry in entries for key, value in entry.get("params", {}).items()}
        tags = {key: value for entry in entries for key, value in entry.get("tags", {}).items()}
        if doubtful:
            metrics = self._missing(metrics)
        self.client.log_batch(
            self.run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
            synchronous=True,  # whatever MLFLOW_ENABLE_ASYNC_LOGGING says: what is acknowledged must have arrived
        )

    def _missing(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Leave out the points that the store has: a server may be killed after it wrote and before it said so."""
        latest = self.client.get_run(self.run_id).data.metrics
        there = {
            (point.key, point.step, point.timestamp)
            for key in {metric.key for metric in metrics}.intersection(latest)
            for point in self.client.get_metric_history(self.run_id, key)
        }
        return [metric for metric in metrics if (metric.key, metric.step, metric.timestamp) not in there]

    def _log_inputs(self, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        inputs = [
            DatasetInput(Dataset(**given["dataset"]), [InputTag(MLFLOW_DATASET_CONTEXT, given["context"])])
            for given in entry["inputs"]
        ]
        self.client.log_inputs(self.run_id, inputs)

    def _log_text(self, entry: Entry) -> None:
        self.client.log_text(self.run_id, entry["text"], entry["path"])

    def _log_file(self, entry: Entry) -> None:
        file = self.journal.run_folder / entry["file"]
        if file.is_file():
            self.client.log_artifact(self.run_id, str(file), entry["under"])

    def _log_image(self, entry: Entry) -> None:
        """Upload a picture and its small copy, named as MLflow 3.17 names them; by the same names when sent again."""
        from mlflow.tracking.multimedia import compress_image_size
        from PIL import Image

        file = self.journal.run_folder / entry["image"]
        if not file.is_file():  # it has arrived, and this was about to be noted
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Image.open(file) as picture:
            small = Path(folder, f"{file.stem}+compressed.webp")
            compress_image_size(picture).save(small)
            for path in (file, small):
                self.client.log_artifact(self.run_id, str(path), "images")
        file.unlink()

    def _log_untag(self, entry: Entry) -> None:
        there = self.client.get_run(self.run_id).data.tags
        for key in entry["untag"]:
            if key in there:
                self.client.delete_tag(self.run_id, key)

    def _log_kept(self, entry: Entry) -> None:
        checkpoint = self.journal.run_folder / entry["kept"]
        if checkpoint.is_dir():  # else a later entry says that it was removed
            Shelf(self.client, self.run_id).keep(checkpoint, entry)

    def _log_pruned(self, entry: Entry) -> None:
        Shelf(self.client, self.run_id).remove(entry["pruned"])

    def _log_model(self, entry: Entry) -> None:
        checkpoint = self.journal.run_folder / entry["model"]
        if checkpoint.is_dir():
            model_id, why = Shelf(self.client, self.run_id).fill(checkpoint, entry)
            if why and entry["portable"]:
                self.said.append(f"the model in MLflow runs only where p2pkit is installed: {why}")
            if "register" in entry:
                self.said.append(register(self.client, self.run_id, model_id, entry["register"]))

    def _log_status(self, entry: Entry) -> None:
        status = entry["status"]
        if status == "RUNNING":
            self.client.update_run(self.run_id, status=status)
        else:
            self.client.set_terminated(self.run_id, status, entry["time"])
