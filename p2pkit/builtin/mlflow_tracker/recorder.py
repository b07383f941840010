"""One run's record in MLflow, by an explicit client: nothing of the caller's own use of MLflow is changed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from p2pkit import Report, Run, Samples, first_line, tracking_uri
from p2pkit.builtin.mlflow_tracker import home, naming, parameters, store
from p2pkit.builtin.mlflow_tracker.inputs import dataset_inputs
from p2pkit.builtin.mlflow_tracker.model import log_model
from p2pkit.mlflow_store import RUN_ID_FILE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

_LEAST_HEIGHT = 128


class Recorder:
    """Logs one run.

    Args:
        run: The run.
        client: A client of the store.
        run_id: MLflow's id of the run.
        owned: Whether the run is ours to end; an active run of the caller's is not.
    """

    def __init__(self, run: Run, client: MlflowClient, run_id: str, *, owned: bool) -> None:
        self.run = run
        self.client = client
        self.run_id = run_id
        self.owned = owned
        self.checkpoint: tuple[int, Path] | None = None
        self.best: tuple[int, Path] | None = None
        self._monitor: SystemMetricsMonitor | None = None
        self._protocols_logged = False

    @classmethod
    def begin(cls, run: Run) -> Recorder:
        """Open the run's record and log what is known before the first step."""
        import mlflow

        with quiet():
            uri = tracking_uri()
            store.check_reachable(uri)
            client = mlflow.MlflowClient(tracking_uri=uri)
            found = home.find_home(client, run)
            if found.run_id is not None and found.owned:
                client.update_run(found.run_id, status="RUNNING")
            run_id = found.run_id or _reopened(client, run) or _created(client, uri, run, found.parent)
            recorder = cls(run, client, run_id, owned=found.owned)
            try:
                recorder._log_start(uri)
            except BaseException as error:
                recorder.abandon(error)
                raise
        return recorder

    def _log_start(self, uri: str) -> None:
        (self.run.folder / RUN_ID_FILE).write_text(f"{self.run_id}\n", encoding="utf-8")
        known = self.client.get_run(self.run_id).data.params
        wanted = store.fitting_params(parameters.parameters(self.run))
        changed = {f"p2pkit.changed.{k}": v for k, v in wanted.items() if known.get(k, v) != v}
        tags = {**parameters.tags(self.run), **changed, **_kinship(self.run)}
        store.log(self.client, self.run_id, {k: v for k, v in wanted.items() if k not in known}, tags)
        self.client.log_inputs(self.run_id, dataset_inputs(self.run))
        text = yaml.safe_dump(dict(self.run.config), sort_keys=False)
        self.client.log_text(self.run_id, text, "run.yaml")
        watched = self.run.kind != "sweep" and self.run.config["tracking"]["system_metrics"]
        if self.owned and watched:  # a caller's run may have a monitor already
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            self._monitor = SystemMetricsMonitor(self.run_id, resume_logging=self.run.resumed, tracking_uri=uri)
            self._monitor.start()

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at one step."""
        from mlflow.entities import Metric
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        now = int(time.time() * 1000)
        metrics = [Metric(parameters.name(key), value, now, step) for key, value in values.items()]
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + MAX_METRICS_PER_BATCH])

    def log_report(self, step: int, report: Report) -> None:
        """Log scores and gains over the better baseline; baselines and protocols, which never change, once."""
        values = {f"{report.split}/{name}": value for name, value in report.metrics.items()}
        values |= {f"{report.split}/gain_percent/{name}": 100 * gain for name, gain in report.gains.items()}
        if not self._protocols_logged:
            ids = {f"p2pkit.protocol.{report.split}.{name}": value for name, value in report.protocol_ids.items()}
            store.log(self.client, self.run_id, {}, {parameters.name(key): value for key, value in ids.items()})
            self.client.log_dict(self.run_id, {report.split: report.protocols}, "protocols.json")
            for baseline, scores in {**report.baselines, "target": report.ground_truth}.items():
                values |= {f"{report.split}/baseline_{baseline}/{name}": value for name, value in scores.items()}
            self._protocols_logged = True
        self.log_metrics(step, values)

    def log_samples(self, step: int, split: str, samples: Samples) -> None:
        """Log each sample as an image with a step, and the sheet as an artifact.

        Args:
            step: The step they were made at.
            split: The split they are of.
            samples: The pictures and the sheet of all.
        """
        with quiet():
            for called, picture in zip(samples.names, samples.pictures, strict=True):
                factor = max(1, -(-_LEAST_HEIGHT // picture.shape[0]))  # the interface enlarges nothing
                shown = picture.repeat(factor, 0).repeat(factor, 1)
                self.client.log_image(self.run_id, shown, key=_image_key(split, called), step=step)
            self.client.log_artifact(self.run_id, str(samples.sheet), "samples")

    def log_description(self, step: int, report: Report, samples: Samples) -> None:
        """Let the run's page begin with the latest scores and pictures; a run of the caller's keeps its own words."""
        if self.owned:
            text = naming.description(self.run, self.run_id, step, report, samples.sheet)
            store.log(self.client, self.run_id, {}, {naming.DESCRIPTION: text})

    def log_summary(self, facts: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Log facts as parameters, which MLflow never changes, and as tags, which can follow; files as artifacts.

        Args:
            facts: What there is to know, by name.
            files: Files inside the run's folder.
        """
        known = self.client.get_run(self.run_id).data.params
        params = {parameters.name(key): str(value) for key, value in facts.items()}
        tags = {parameters.name(f"p2pkit.{key}"): str(value) for key, value in facts.items()}
        new = {key: value for key, value in store.fitting_params(params).items() if key not in known}
        store.log(self.client, self.run_id, new, tags)
        with quiet():
            for file in files:
                folder = file.relative_to(self.run.folder).parent.as_posix()
                self.client.log_artifact(self.run_id, str(file), None if folder == "." else folder)

    def log_best(self, step: int, path: Path) -> None:
        """Say which checkpoint is the best so far."""
        self.best = (step, path)
        tags = {"p2pkit.best_step": str(step), "p2pkit.best_checkpoint": str(path)}
        store.log(self.client, self.run_id, {}, tags)

    def finish(self, error: BaseException | None, reason: str = "") -> None:
        """Log the model, where all went well, and end the run if it is ours.

        Args:
            error: What the run ended with, if not well.
            reason: Why it ended before its last step, if it did.
        """
        with quiet():
            if reason:
                store.log(self.client, self.run_id, {}, {"p2pkit.ended": reason})
            chosen = self.best or self.checkpoint
            if error is None and chosen is not None and self.run.config["tracking"]["model"]:
                step, folder = chosen
                log_model(self.client, self.run_id, self.run, folder, step)
            self._end(error)

    def abandon(self, error: BaseException) -> None:
        """End the run after this recorder itself has failed, as far as that can still be done."""
        with quiet(), suppress(Exception):
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self._monitor is not None:
            self._monitor.finish()
        if error is not None:
            store.log(self.client, self.run_id, {}, {"p2pkit.error": first_line(error, typed=True)})
        if self.owned:
            self.client.set_terminated(self.run_id, _status(error))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and its database tool's progress notes off the user's screen; warnings still come through."""
    import mlflow  # noqa: F401  its import sets the level that is changed here
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT as addresses_unprinted

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    unprinted = addresses_unprinted.get_raw()
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    addresses_unprinted.set(True)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if unprinted is None:
            addresses_unprinted.unset()
        else:
            addresses_unprinted.set(unprinted)


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def _image_key(split: str, name: str) -> str:
    """Return a name in a section of its own, of the letters that MLflow allows for images."""
    return re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", f"{split}/samples/{name}")


def _created(client: MlflowClient, uri: str, run: Run, parent: MlflowRun | None = None) -> str:
    from mlflow.tracking.context.registry import resolve_tags

    experiment = parent.info.experiment_id if parent else home.experiment_id(client, uri, run)
    about = naming.about(run.config)
    tags: dict[str, Any] = resolve_tags() | naming.colour_tag(client, experiment, run)
    if "git" in run.versions:
        tags["mlflow.source.git.commit"] = run.versions["git"]
    if parent:
        tags[home.PARENT] = parent.info.run_id
    if about:
        tags[naming.DESCRIPTION] = about
    name = naming.run_name(run, _evaluated_name(client, run))
    created: str = client.create_run(experiment, tags=tags, run_name=name).info.run_id
    return created


def _reopened(client: MlflowClient, run: Run) -> str | None:
    """Return the id of the run that a resumed training was, set to running again; None where the store lacks it."""
    from mlflow.exceptions import MlflowException

    note = run.folder / RUN_ID_FILE
    if not (run.resumed and note.is_file()):
        return None
    run_id = note.read_text(encoding="utf-8").strip()
    try:
        if client.get_run(run_id).info.lifecycle_stage != "active":
            return None
    except MlflowException:
        return None
    client.update_run(run_id, status="RUNNING")
    return run_id


def _evaluated_name(client: MlflowClient, run: Run) -> str | None:
    """Return what the training is called that an evaluation scores; None where the store lacks it."""
    from mlflow.exceptions import MlflowException

    for run_id in _kinship(run).values():
        with suppress(MlflowException):
            return str(client.get_run(run_id).info.run_name)
    return None


def _kinship(run: Run) -> dict[str, str]:
    """Return the tag that ties an evaluation to the training whose folder it lies in."""
    if run.kind != "evaluation":
        return {}
    notes = (folder / RUN_ID_FILE for folder in run.folder.absolute().parents)
    note = next((note for note in notes if note.is_file()), None)
    return {"p2pkit.evaluates": note.read_text(encoding="utf-8").strip()} if note else {}
