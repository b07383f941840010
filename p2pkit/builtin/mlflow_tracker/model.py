"""Checkpoints as MLflow's models: those that were scored and are kept, and the one that has files."""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from p2pkit import PairSpec, Report, Run
from p2pkit.builtin.mlflow_tracker import naming
from p2pkit.builtin.mlflow_tracker.inputs import dataset_of
from p2pkit.builtin.mlflow_tracker.journal import Entry, Past
from p2pkit.builtin.mlflow_tracker.parameters import name as allowed
from p2pkit.builtin.mlflow_tracker.requirements import requirements
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric

RUN, STEP, FILES = "p2pkit.run", "p2pkit.step", "p2pkit.files"
ADDRESS = "p2pkit.model"
"""The run's tag with the address of the model that has files."""


class Models:
    """Which checkpoints of a run are models.

    Args:
        run: The run.
        past: What the journal holds of an earlier life.
    """

    def __init__(self, run: Run, past: Past) -> None:
        self.run = run
        self._scores: dict[int, Plain] = dict(past.scores)
        self._told = {step: list(paths) for step, paths in past.models.items()}

    def scored(self, step: int, report: Report) -> Entry:
        """Remember what the checkpoint of a step, if there will be one, has scored; return what the journal notes."""
        values = {allowed(f"{report.split}/{name}"): float(value) for name, value in report.metrics.items()}
        ids = {allowed(f"p2pkit.protocol.{report.split}.{name}"): value for name, value in report.protocol_ids.items()}
        data = list(dataset_of(self.run.dataset, report.split))
        directions = {allowed(f"{report.split}/{name}"): higher for name, higher in report.higher_is_better.items()}
        about = {"scores": values, "higher": directions, "data": data, "about": ids, "time": int(time.time() * 1000)}
        told = {at: scores for at, scores in self._scores.items() if at in self._told}
        self._scores = {**told, step: about}
        return {"scored": True, "step": step, **about}

    def missed(self) -> Iterator[Entry]:
        """Yield what the journal notes of checkpoints that a killed process wrote or removed, and did not tell of."""
        yield from self.pruned()
        for path in sorted(self.run.folder.glob("checkpoints/step-*")):
            step = path.name.removeprefix("step-")
            if step.isdigit():
                yield from self.kept(int(step), path)

    def kept(self, step: int, path: Path) -> Iterator[Entry]:
        """Yield what the journal notes of a checkpoint that was written, and of those that were removed for it."""
        yield from self.pruned()
        where = self._where(path)
        if step in self._scores and where not in self._told.get(step, ()):
            self._told.setdefault(step, []).append(where)
            yield {"kept": where, "step": step, **self.identity(step), **self._scores[step]}

    def pruned(self) -> Iterator[Entry]:
        """Yield what the journal notes of checkpoints that are not there any more."""
        for step, paths in list(self._told.items()):
            if not any((self.run.folder / path).is_dir() for path in paths):
                del self._told[step]
                yield {"pruned": step}

    def identity(self, step: int) -> dict[str, Json]:
        """Return what a step's model is called, and what it needs."""
        called = re.sub(r"[^\w\-]+", "_", naming.run_name(self.run))
        needed, local = requirements(self.run)
        images = asdict(self.run.dataset.spec)
        return {"name": f"{called}-step-{step}", "requirements": needed, "local": local, "images": images}

    def chosen(self, step: int, path: Path) -> Entry:
        """Return what the journal notes of the checkpoint whose model is to have files."""
        portable = bool(self.run.config["tracking"]["portable"])
        entry = {"model": self._where(path), "step": step, "portable": portable, **self.identity(step)}
        called = self.run.config["tracking"]["register"]
        if called is not None:
            entry["register"] = {"name": called, **self._standing(self._scores.get(step, {}))}
        return entry

    def _standing(self, scored: Plain) -> dict[str, Json]:
        """Return by what a checkpoint is compared with others; nothing where it has no such score."""
        config = self.run.config
        wanted, better = config["checkpoint"]["best"], config["checkpoint"]["better"]
        for key, value in scored.get("scores", {}).items():
            split, _, metric = key.partition("/")
            higher = better == "higher" if wanted and better != "auto" else scored["higher"].get(key)
            if metric == (wanted or metric) and higher is not None and math.isfinite(value):
                protocol = scored["about"][f"p2pkit.protocol.{split}.{metric}"]
                return {"metric": key, "value": value, "higher": higher, "protocol": protocol, "data": scored["data"]}
        return {}

    def _where(self, path: Path) -> str:
        return path.absolute().relative_to(self.run.folder.absolute()).as_posix()


class Shelf:
    """A run's models in the store.

    Args:
        client: A client of the store.
        run_id: MLflow's id of the run.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id

    def keep(self, checkpoint: Path, entry: Plain) -> None:
        """Make the model of a checkpoint that is kept: its scores, and where its weights lie; they are not copied."""
        model = self._opened(entry)
        tags = {**entry["about"], "p2pkit.checkpoint": entry["kept"]}
        if model.tags.get(FILES) != "here":
            self._upload(model, checkpoint, entry, whole=False)
            tags[FILES] = "in the run's folder"
        self.client.set_logged_model_tags(model.model_id, tags)
        self._finished(model, entry["step"])
        if urlsplit(self.client.tracking_uri).scheme not in ("", "file"):  # there, a run's points would stand twice,
            self._score(model, entry)  # and a data set's name that holds a space makes them unreadable

    def remove(self, step: int) -> None:
        """Delete the model of a checkpoint that is not there any more."""
        model = self._find(step)
        if model is None:
            return
        if model.tags.get(FILES) == "here":  # it may be in use, and needs no checkpoint; another may follow at its step
            self.client.set_logged_model_tags(model.model_id, {STEP: f"{step}, whose checkpoint was removed"})
        else:
            self.client.delete_logged_model(model.model_id)

    def fill(self, checkpoint: Path, entry: Plain) -> tuple[str, str]:
        """Give a step's model its files: weights, and the network as a program of its own if it can be one.

        Returns:
            The model's id; and why the network can't be one, empty where it can.
        """
        model = self._opened(entry)
        why = self._upload(model, checkpoint, entry, whole=True)
        self.client.set_logged_model_tags(model.model_id, {FILES: "here", "p2pkit.checkpoint": entry["model"]})
        self._finished(model, entry["step"])
        self.client.set_tag(self.run_id, ADDRESS, f"models:/{model.model_id}")
        return model.model_id, why

    def _find(self, step: int) -> LoggedModel | None:
        wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in self._key(step).items())
        found = self.client.search_logged_models([self._recorded().info.experiment_id], filter_string=wanted)
        return found[0] if found else None

    def _opened(self, entry: Plain) -> LoggedModel:
        found = self._find(entry["step"])
        if found is not None:
            return found
        run = self._recorded()
        return self.client.create_logged_model(
            run.info.experiment_id,
            entry["name"],
            source_run_id=self.run_id,
            params=run.data.params,
            model_type="generator",
            tags=self._key(entry["step"]),
        )

    def _key(self, step: int) -> dict[str, str]:
        return {RUN: self.run_id, STEP: str(step)}

    def _recorded(self) -> Json:
        return self.client.get_run(self.run_id)

    def _upload(self, model: LoggedModel, checkpoint: Path, entry: Plain, *, whole: bool) -> str:
        from p2pkit.builtin.mlflow_tracker.model_folder import Contents, write_model

        contents = Contents(
            checkpoint,
            TypeAdapter(PairSpec).validate_python(entry["images"]),
            entry["requirements"],
            entry["local"],
            whole=whole,
            portable=bool(entry.get("portable")),
        )
        identity = {"artifact_path": model.artifact_location, "model_uuid": model.model_id, "run_id": self.run_id}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary, "model")
            why = write_model(folder, contents, model_id=model.model_id, **identity)
            self.client.log_model_artifacts(model.model_id, str(folder))
        return why

    def _finished(self, model: LoggedModel, step: int) -> None:
        from mlflow.entities import LoggedModelOutput

        self.client.finalize_logged_model(model.model_id, "READY")
        if model.model_id not in [output.model_id for output in self._recorded().outputs.model_outputs]:
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])

    def _score(self, model: LoggedModel, entry: Plain) -> None:
        """Log scores with the model and the data; MLflow writes them to the run, too, where they are not to double."""
        from mlflow.entities import Metric

        there = {point.key for point in self.client.get_logged_model(model.model_id).metrics or ()}
        data, digest = entry["data"]
        of = {"model_id": model.model_id, "dataset_name": data, "dataset_digest": digest}
        points = [
            Metric(key, *self._point(key, value, entry), step=entry["step"], **of)
            for key, value in entry["scores"].items()
            if key not in there
        ]
        if points:
            self.client.log_batch(self.run_id, metrics=points, synchronous=True)

    def _point(self, key: str, value: float, entry: Plain) -> tuple[float, int]:
        """Return value and time as the run has them, which is how the store knows a point again."""
        points: list[Metric] = self.client.get_metric_history(self.run_id, key)
        same = [point for point in points if point.step == entry["step"]]
        return (same[-1].value, same[-1].timestamp) if same else (value, entry["time"])
