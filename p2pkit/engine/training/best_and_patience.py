"""The best checkpoint by a metric, and whether it is still worth while to wait for a better one."""

from __future__ import annotations

import math
from pathlib import Path

from p2pkit.atomic_files import remove_folder
from p2pkit.config.model import RunConfig
from p2pkit.engine.distributed.world import world
from p2pkit.engine.storage.layout import BEST, checkpoints
from p2pkit.engine.storage.loop_state import LoopState
from p2pkit.engine.storage.state import read_state
from p2pkit.types import Report
from p2pkit.untyped import Json


class _Compared:
    """What both have in common: evaluations are compared by `checkpoint.best`; an untrained generator is no result."""

    def __init__(self, config: RunConfig) -> None:
        self.metric = config.checkpoint.best
        self.better = config.checkpoint.better

    def _value(self, step: int, report: Report) -> float | None:
        """Return what an evaluation is compared by; None where it is not."""
        if self.metric is None or step == 0 or math.isnan(report.metrics[self.metric]):
            return None
        return report.metrics[self.metric]

    def _beats(self, value: float, report: Report, other: float, by: float = 0.0) -> bool:
        higher = report.higher_is_better.get(str(self.metric)) if self.better == "auto" else self.better == "higher"
        return value > other + by if higher else value < other - by


class BestCheckpoint(_Compared):
    """The best of a run's evaluations, and the checkpoint that is kept for it.

    Args:
        config: The run's config.
        folder: The run's folder.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        super().__init__(config)
        kept = checkpoints(folder / BEST)
        self.kept = kept[-1] if kept else None
        self.value = self._value_of(self.kept) if self.kept else None

    def is_best(self, step: int, report: Report) -> bool:
        """Take in an evaluation; tell whether it is better than all before, also before an interruption."""
        value = self._value(step, report)
        if value is None or (self.value is not None and not self._beats(value, report, self.value)):
            return False
        self.value = value
        return True

    def keep(self, path: Path) -> None:
        """Keep a checkpoint as the best, and no other."""
        for other in checkpoints(path.parent) if world().main else ():
            if other != path:
                remove_folder(other)
        self.kept = path

    def note(self) -> dict[str, Json]:
        """Return what the best checkpoint says of itself."""
        return {"metric": self.metric, "value": self.value}

    def _value_of(self, path: Path) -> float | None:
        best = read_state(path).get(BEST, {})
        value: float | None = best.get("value") if best.get("metric") == self.metric else None
        return value


class EarlyStopping(_Compared):
    """Counts evaluations without improvement, in the run's state.

    Args:
        config: The run's config.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.patience = config.schedule.patience
        self.min_delta = config.schedule.min_delta

    def count(self, step: int, report: Report, state: LoopState) -> None:
        """Take in an evaluation."""
        if self.metric is None or step == 0:
            return
        if state.metric != self.metric:
            state.metric, state.reference = self.metric, None
        value = self._value(step, report)
        if value is not None and (
            state.reference is None or self._beats(value, report, state.reference, self.min_delta)
        ):
            state.reference, state.reference_step, state.waited = value, step, 0
        else:
            state.waited += 1

    def reason(self, state: LoopState) -> str:
        """Return why to train no further; empty where there is no reason."""
        if self.patience is None or self.metric is None or state.waited < self.patience:
            return ""
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        reached = "never was a number"
        if state.reference is not None:
            reached = f"stands at {state.reference:.5g} since step {state.reference_step}"
        return f"{self.metric} has not improved{by} in {state.waited} evaluations: it {reached}"
