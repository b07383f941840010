"""The best checkpoint by a metric, and whether it is still worth while to wait for a better one."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from p2pkit.config.model import RunConfig
from p2pkit.engine.distributed.world import world
from p2pkit.engine.storage.checkpoint import read_state
from p2pkit.engine.storage.layout import BEST, checkpoints
from p2pkit.engine.storage.loop_state import LoopState
from p2pkit.types import Report


class BestCheckpoint:
    """Compares evaluations by `checkpoint.best`.

    Args:
        config: The run's config.
        folder: The run's folder.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.metric = config.checkpoint.best
        self.better = config.checkpoint.better
        self.patience = config.schedule.patience
        self.min_delta = config.schedule.min_delta
        kept = checkpoints(folder / BEST)
        self.kept = kept[-1] if kept else None
        self.value = self._value_of(self.kept) if self.kept else None

    def is_best(self, step: int, report: Report) -> bool:
        """Take in an evaluation; tell whether it is better than all before, also before an interruption."""
        if self.metric is None or step == 0:  # an untrained generator is no result
            return False
        best = self._beats(report, self.value)
        if best:
            self.value = report.metrics[self.metric]
        return best

    def wait(self, step: int, report: Report, memory: LoopState) -> None:
        """Count evaluations without improvement in the run's memory."""
        if self.metric is None or step == 0:
            return
        if memory.metric != self.metric:
            memory.metric, memory.reference = self.metric, None
        if self._beats(report, memory.reference, self.min_delta):
            memory.reference, memory.reference_step, memory.waited = report.metrics[self.metric], step, 0
        else:
            memory.waited += 1

    def over(self, memory: LoopState) -> str:
        """Return why to train no further; empty where there is no reason."""
        if self.patience is None or self.metric is None or memory.waited < self.patience:
            return ""
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        reached = "never was a number"
        if memory.reference is not None:
            reached = f"stands at {memory.reference:.5g} since step {memory.reference_step}"
        return f"{self.metric} has not improved{by} in {memory.waited} evaluations: it {reached}"

    def keep(self, path: Path) -> None:
        """Keep a checkpoint as the best, and no other."""
        for other in checkpoints(path.parent) if world().main else ():
            if other != path:
                shutil.rmtree(other)
        self.kept = path

    def note(self) -> dict[str, Any]:
        """Return what the best checkpoint says of itself."""
        return {"metric": self.metric, "value": self.value}

    def _value_of(self, path: Path) -> float | None:
        best = read_state(path).get(BEST, {})
        value: float | None = best.get("value") if best.get("metric") == self.metric else None
        return value

    def _beats(self, report: Report, other: float | None, by: float = 0.0) -> bool:
        assert self.metric is not None
        value = report.metrics[self.metric]
        if math.isnan(value) or other is None:
            return not math.isnan(value)
        higher = report.higher_is_better.get(self.metric) if self.better == "auto" else self.better == "higher"
        return value > other + by if higher else value < other - by
