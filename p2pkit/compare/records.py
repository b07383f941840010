"""A run as its folder has it: what it was, and how it was scored on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from p2pkit.compare.settings import compared
from p2pkit.config import flat_config
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.costs import load_costs
from p2pkit.engine.storage.evaluations import load_report
from p2pkit.engine.storage.layout import CONFIG, EVALUATIONS, SAMPLES
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.mlflow_store import SWEEP_TAG
from p2pkit.types import Report
from p2pkit.untyped import Json, Plain


@dataclass(frozen=True)
class Scored:
    """One evaluation of a run.

    Args:
        step: Updates of the generator by then.
        seconds: Time from the run's start until then, 0 where the evaluation came after the training.
        report: The scores.
        sheet: The picture of its samples; the other files lie beside it.
    """

    step: int
    seconds: float
    report: Report
    sheet: Path

    @property
    def protocol(self) -> str:
        """How it was measured, as text; scores are compared only where it is the same."""
        return json.dumps(dict(self.report.protocol), sort_keys=True, default=str)


@dataclass(frozen=True)
class Record:
    """A run, read from its folder.

    Args:
        folder: The run's folder.
        config: Its resolved config.
        settings: Its keys and values; how it is measured, watched and saved is left out.
        history: Evaluations during training, in order.
        later: Evaluations of its checkpoints by `p2pkit evaluate`, in order.
        costs: The generator's size and the speed of training, where they are known.
    """

    folder: Path
    config: Plain
    settings: Plain
    history: tuple[Scored, ...] = ()
    later: tuple[Scored, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def sweep(self) -> str:
        """The sweep it belongs to; empty where it stands alone."""
        return self._tag(SWEEP_TAG)

    @property
    def point(self) -> str:
        """What its sweep calls its point."""
        return self._tag("p2pkit.point")

    def _tag(self, name: str) -> str:
        return str(self.config.get("tracking", {}).get("tags", {}).get(name, ""))

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.config["engine"]["seed"])

    @cached_property
    def latest(self) -> dict[str, Scored]:
        """The evaluations of the run's last scored step by protocol; an older network's scores are not the run's."""
        every = (*self.history, *self.later)
        last = max((scored.step for scored in every), default=0)
        return {scored.protocol: scored for scored in every if scored.step == last}


def read_record(folder: Path, note: Callable[[Problem], None]) -> Record | None:
    """Read a run's folder; None for a run whose config can't be read.

    Args:
        folder: The run's folder.
        note: Hears of what is damaged, half written or gone, and therefore left out.
    """
    try:
        config = run_config(folder)
        began = (folder / CONFIG).stat().st_mtime
    except (ModelError, OSError) as error:
        for problem in error.problems if isinstance(error, ModelError) else [Problem(str(folder), first_line(error))]:
            note(problem)
        return None
    history = _scored((folder / SAMPLES).glob("step-*.json"), began, note)
    later = _scored((folder / EVALUATIONS).glob(f"*/{SAMPLES}/*-step-*.json"), None, note)
    return Record(folder, config, compared(flat_config(config)), tuple(history), tuple(later), load_costs(folder))


def run_config(folder: Path) -> dict[str, Json]:
    """Read a run's config, which has at least what comparisons go by.

    Raises:
        ModelError: It can't be read, or is not a run's.
    """
    config = read_config(folder)
    for section, key in (("tracking", "experiment"), ("engine", "seed")):
        if not isinstance(config.get(section), dict) or key not in config[section]:
            raise ModelError(Problem(str(folder / CONFIG), f"is not the config of a run: it has no {section}.{key}"))
    return config


def _scored(files: Iterable[Path], began: float | None, note: Callable[[Problem], None]) -> Iterable[Scored]:
    """Read evaluations by step; a run's own first one, before training, is where its time begins."""
    by_step = sorted((int(re.findall(r"\d+", file.stem)[-1]), file.stat().st_mtime, file) for file in files)
    if began is not None and by_step:
        began = by_step[0][1] if by_step[0][0] == 0 else min(began, by_step[0][1])
    for step, written, file in by_step:
        try:
            report, _ = load_report(file)
        except ModelError as error:
            for problem in error.problems:
                note(problem)
            continue
        yield Scored(step, 0.0 if began is None else max(0.0, written - began), report, file.with_suffix(".png"))


def directions(folders: Iterable[Path]) -> dict[str, bool | None]:
    """Return for each metric whether higher is better, as the reports of some runs say."""
    records = (read_record(folder, lambda _: None) for folder in folders)
    reports = (scored.report for record in records if record for scored in record.history[-1:])
    return {name: higher for report in reports for name, higher in report.higher_is_better.items()}
