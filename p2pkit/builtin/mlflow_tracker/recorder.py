"""One run's record in MLflow, by an explicit client: nothing of the caller's own use of MLflow is changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from PIL import Image

from p2pkit import Notice, Report, Run, Samples, first_line
from p2pkit.builtin.mlflow_tracker import naming, parameters, store
from p2pkit.builtin.mlflow_tracker.delivery import Delivery
from p2pkit.builtin.mlflow_tracker.inputs import dataset_inputs
from p2pkit.builtin.mlflow_tracker.journal import Journal
from p2pkit.builtin.mlflow_tracker.model import Models
from p2pkit.builtin.mlflow_tracker.opening import kinship, open_record
from p2pkit.builtin.mlflow_tracker.replay import replay
from p2pkit.builtin.mlflow_tracker.sender import PATIENCE, Sender
from p2pkit.mlflow_store import database_file
from p2pkit.passwords import without_password
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from p2pkit.builtin.mlflow_tracker.watch import SystemWatch

_LEAST_HEIGHT = 128
_WAITING = {"FINISHED": (PATIENCE,), "FAILED": (PATIENCE / 3,), "KILLED": (2.0, 2.0)}
"""By how a run ended, how long its end waits for the sender: who has sent a signal wants to have the process gone."""
PLUGINS = "plugins"
"""Folder in a run's folder with the one-file plugins that its config names."""


class Recorder:
    """Logs one run: it writes to the run's journal, and a thread sends that to MLflow.

    Args:
        run: The run.
        journal: The journal of its record.
        sender: What sends it.
        owned: Whether the run is ours to end; an active run of the caller's is not.
        known: Parameters that MLflow has, which never change there.
    """

    def __init__(
        self, run: Run, journal: Journal, sender: Sender, *, owned: bool, known: Mapping[str, str] | None = None
    ) -> None:
        self.run = run
        self.journal = journal
        self.run_id = journal.run_id
        self.sender = sender
        self.owned = owned
        self.checkpoint: tuple[int, Path] | None = None
        self.best: tuple[int, Path] | None = None
        self._past = journal.past()
        self._models = Models(run, self._past) if _has_models(run) else None
        self._params = {**(known or {}), **self._past.params}
        self._monitor: SystemWatch | None = None
        self._sent_before: Mapping[str, int] = {}
        self._protocols_logged = False
        self._phase = 0.0
        self._outage_told = ""
        self._over = False

    @classmethod
    def begin(cls, run: Run) -> Recorder:
        """Open the run's record, and write what is known before the first step.

        Raises:
            PluginError: The store does not answer, or refuses.
        """
        record = open_record(run)
        journal = Journal.of(run.folder.absolute(), record.run_id)
        siblings = Path(run.config["tracking"].get("folder", run.folder.parent)).absolute()
        dead = partial(replay, siblings, living=False)
        sender = Sender(Delivery(record.client, journal), record.uri, first=dead)
        recorder = cls(run, journal, sender, owned=record.owned, known=record.params)
        recorder._write_start(record.uri)
        return recorder

    def _write_start(self, uri: str) -> None:
        self.journal.live()
        wanted = store.fitting_params(parameters.parameters(self.run))
        settings = _settings(wanted)
        if self.run.resumed and settings == self._past.settings:  # what was sent after the checkpoint comes again
            self._sent_before = self._past.steps
        changed = {f"p2pkit.changed.{k}": v for k, v in wanted.items() if self._params.get(k, v) != v}
        self.journal.append(
            {"settings": settings, "uri": without_password(uri), **_in_project(uri, self.journal.run_folder)}
        )
        if self.owned:
            self.journal.append({"status": "RUNNING"})
        self._log_params_and_tags(wanted, {**parameters.tags(self.run), **changed, **kinship(self.run)})
        text = yaml.safe_dump(dict(self.run.config), sort_keys=False)
        self.journal.append({"inputs": dataset_inputs(self.run)}, {"text": text, "path": "run.yaml"})
        self._log_files(sorted((self.run.folder / PLUGINS).glob("*.py")))
        self.journal.append(*(self._models.missed() if self._models else ()))
        watched = self.run.kind != "sweep" and self.run.config["tracking"]["system_metrics"]
        if self.owned and watched:  # a caller's run may have a monitor already
            from p2pkit.builtin.mlflow_tracker.watch import SystemWatch

            with store.quiet():
                self._monitor = SystemWatch(self.journal, self._past, uri)
                self._monitor.start()
        self.sender.start()

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at one step."""
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH as LIMIT

        named = {parameters.name(key): float(value) for key, value in values.items()}
        new = [(key, value) for key, value in named.items() if step > self._sent_before.get(key, -1)]
        now = int(time.time() * 1000)
        for start in range(0, len(new), LIMIT // 2):
            self.journal.append({"metrics": dict(new[start : start + LIMIT // 2]), "step": step, "time": now})
        if (phase := values.get("train/phase", self._phase)) != self._phase:
            self._phase = phase
            self._log_params_and_tags({}, {"p2pkit.phase": f"{phase:g}"})

    def log_report(self, step: int, report: Report) -> None:
        """Log scores and gains over the better baseline; baselines and protocols, which never change, once."""
        values = {f"{report.split}/{name}": value for name, value in report.metrics.items()}
        values |= {f"{report.split}/gain_percent/{name}": 100 * gain for name, gain in report.gains.items()}
        if not self._protocols_logged:
            ids = {f"p2pkit.protocol.{report.split}.{name}": value for name, value in report.protocol_ids.items()}
            self._log_params_and_tags({}, {parameters.name(key): value for key, value in ids.items()})
            self._log_dict({report.split: report.protocols}, "protocols.json")
            for baseline, scores in {**report.baselines, "target": report.ground_truth}.items():
                named = {f"{report.split}/baseline_{baseline}/{name}": value for name, value in scores.items()}
                values |= {key: value for key, value in named.items() if parameters.name(key) not in self._past.steps}
            self._protocols_logged = True
        self.log_metrics(step, values)
        if self._models is not None:
            self.journal.append(self._models.scored(step, report))

    def log_samples(self, step: int, split: str, samples: Samples) -> None:
        """Log each sample as an image with a step, and the sheet as an artifact.

        Args:
            step: The step they were made at.
            split: The split they are of.
            samples: The pictures and the sheet of all.
        """
        folder = self.journal.path.parent / "images"
        folder.mkdir(exist_ok=True)
        for called, picture in zip(samples.names, samples.pictures, strict=True):
            key = _image_key(split, called)
            if step > self._sent_before.get(key, -1):
                factor = max(1, -(-_LEAST_HEIGHT // picture.shape[0]))  # the interface enlarges nothing
                shown = Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1))
                file = folder / _image_file(key, step)
                shown.save(file, compress_level=1)
                where = file.relative_to(self.journal.run_folder).as_posix()
                self.journal.append(
                    {"tags": {"mlflow.loggedImages": "True"}}, {"image": where, "key": key, "step": step}
                )
        self._log_params_and_tags({}, {"mlflow.loggedImages": "True"})
        self._log_files([samples.sheet])

    def log_description(self, step: int, report: Report, samples: Samples) -> None:
        """Let the run's page begin with the latest scores and pictures; a run of the caller's keeps its own words."""
        if self.owned:
            text = naming.description(self.run, self.run_id, step, report, samples.sheet)
            self._log_params_and_tags({}, {naming.DESCRIPTION: text})

    def log_summary(self, facts: Plain, files: Sequence[Path]) -> None:
        """Log facts as parameters, which MLflow never changes, and as tags, which can follow; files as artifacts.

        Args:
            facts: What there is to know, by name.
            files: Files inside the run's folder.
        """
        params = {parameters.name(key): str(value) for key, value in facts.items()}
        tags = {parameters.name(f"p2pkit.{key}"): str(value) for key, value in facts.items()}
        self._log_params_and_tags(store.fitting_params(params), tags)
        self._log_files(files)

    def log_checkpoint(self, step: int, path: Path) -> None:
        """Let a checkpoint that was scored be a model, for as long as it is kept."""
        self.journal.append(*(self._models.kept(step, path) if self._models else ()))
        self.checkpoint = (step, path)

    def log_best(self, step: int, path: Path) -> None:
        """Say which checkpoint is the best so far."""
        self.journal.append(*(self._models.kept(step, path) if self._models else ()))
        self.best = (step, path)
        self._log_params_and_tags({}, {"p2pkit.best_step": str(step), "p2pkit.best_checkpoint": str(path)})

    def go_back(self, step: int) -> None:
        """Say that the run goes on from an earlier step; what MLflow has of later ones may be of what was left."""
        self.best, self.checkpoint = (
            kept if kept and kept[0] <= step else None for kept in (self.best, self.checkpoint)
        )
        self._log_params_and_tags({}, {"p2pkit.went_back_to": str(step)})
        if self.best is None:  # one that is still there is told of again
            self.journal.append({"untag": ["p2pkit.best_step", "p2pkit.best_checkpoint"]})
        self.journal.append(*(self._models.pruned() if self._models else ()))

    def news(self) -> str | None:
        """Return a sentence for the user when the store has stopped to answer, or answers again."""
        outage = self.sender.outage
        if bool(outage) == bool(self._outage_told):
            return None
        self._outage_told = outage
        where = f"MLflow at {without_password(self.sender.uri)}"
        if outage:
            return f"{where} takes nothing at present ({outage}); training goes on, and all of it is sent later"
        return f"{where} answers again, and has got what it missed"

    def finish(self, error: BaseException | None, reason: str = "") -> str | None:
        """Log the model, where all went well, end the run if it is ours, and wait until all has arrived, but not long.

        Args:
            error: What the run ended with, if not well.
            reason: Why it ended before its last step, if it did.

        Returns:
            What has not arrived, and how to send it; None where all has.
        """
        if reason:
            self._log_params_and_tags({}, {"p2pkit.ended": reason})
        chosen = self.best or self.checkpoint
        if error is None and chosen is not None and self._models is not None:
            step, folder = chosen
            self.journal.append(self._models.chosen(step, folder))
        return self._end(error)

    def abandon(self, error: BaseException) -> str | None:
        """End the run after this recorder itself has failed, as far as that can still be done."""
        with suppress(Exception):
            return self._end(error)
        return None

    def _end(self, error: BaseException | None) -> str | None:
        if self._over:  # a signal has ended the waiting
            return self._told()
        self._over = True
        if self._monitor is not None:
            with store.quiet():
                self._monitor.finish()
        if error is not None:
            self._log_params_and_tags({}, {"p2pkit.error": first_line(error, typed=True)})
        status = _status(error)
        if self.owned:
            self.journal.append({"status": status, "time": int(time.time() * 1000)})
        try:
            arrived = self.sender.drain(*_WAITING[status])
            if self.owned and not arrived and error is not None:  # or it would say that the run goes on
                self.sender.end_now(status)
        except KeyboardInterrupt:
            if self.owned:
                self.sender.end_now("KILLED")
            raise
        finally:
            self.journal.leave()
        return self._told()

    def _told(self) -> str | None:
        refused = self.sender.delivery.refused
        where = f"MLflow at {without_password(self.sender.uri)}"
        if self.journal.pending:
            command = shlex.join(["p2pkit", "tracking", "replay", str(self.run.folder)])
            why = f" ({self.sender.outage})" if self.sender.outage else ""
            return f"{self.journal.left} entries have not reached {where}{why}; they are kept, send them by: {command}"
        told = [f"{where} refused {len(refused)} entries, the first because {refused[0]}"] if refused else []
        said = "; ".join([*self.sender.delivery.said, *told])
        return said if told else Notice(said) if said else None

    def _log_params_and_tags(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        from mlflow.utils.validation import MAX_PARAMS_TAGS_PER_BATCH

        new = [(key, value) for key, value in params.items() if key not in self._params]
        self._params |= dict(new)
        size = MAX_PARAMS_TAGS_PER_BATCH // 2
        for kind, pairs in (("params", new), ("tags", list(store.fitting_tags(tags).items()))):
            for start in range(0, len(pairs), size):
                self.journal.append({kind: dict(pairs[start : start + size])})

    def _log_dict(self, held: Plain, path: str) -> None:
        self.journal.append({"text": json.dumps(held, indent=2, default=str), "path": path})

    def _log_files(self, files: Sequence[Path]) -> None:
        for file in files:
            where = file.relative_to(self.run.folder)
            folder = where.parent.as_posix()
            self.journal.append({"file": where.as_posix(), "under": None if folder == "." else folder})


def _has_models(run: Run) -> bool:
    return run.kind == "training" and bool(run.config["tracking"]["model"])


def _in_project(uri: str, run_folder: Path) -> dict[str, str]:
    """Return where a database lies from a run's folder, if it is one of a project that the run lies in."""
    database = database_file(uri)
    folder = run_folder.absolute()
    if database is None or not folder.is_relative_to(database.parent):
        return {}
    return {"database": Path(os.path.relpath(database, folder)).as_posix()}


def _settings(params: Mapping[str, str]) -> str:
    """Return what is equal for two lives of a run where, and only where, nothing was changed but the schedule."""
    kept = {key: value for key, value in params.items() if not key.startswith("schedule.")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def _image_key(split: str, name: str) -> str:
    """Return a name in a section of its own, of the letters that MLflow allows for images."""
    return re.sub(r"[^a-zA-Z0-9_\-./ ]", "_", f"{split}/samples/{name}")


def _image_file(key: str, step: int) -> str:
    """Return a name by which MLflow 3.17 finds a picture's key, step and time."""
    return f"{key.replace('/', '~')}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid.uuid4()}.png"
