"""MLflow's own system metrics, written to the journal like all else, whether or not the store answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

if TYPE_CHECKING:
    from p2pkit.builtin.mlflow_tracker.journal import Entry, Journal, Past


class SystemWatch(SystemMetricsMonitor):  # type: ignore[misc]  # MLflow is untyped here
    """Measures until `finish` is called.

    Args:
        journal: Where to write.
        past: What the journal holds of an earlier life, whose count of steps is gone on with.
        uri: The store's address.
    """

    def __init__(self, journal: Journal, past: Past, uri: str) -> None:
        super().__init__(journal.run_id, tracking_uri=uri)
        self._journal = journal
        steps = [step for key, step in past.steps.items() if key.startswith(self._metrics_prefix)]
        self._logging_step = max(steps, default=-1) + 1
        self._held: list[Entry] = []
        self._others = len(past.steps) > len(steps)

    def monitor(self) -> None:
        """Measure, without asking the store whether to go on, as MLflow's own would."""
        while True:
            for _ in range(self.samples_before_logging):
                self.collect_metrics()
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            self.publish_metrics(self.aggregate_metrics())

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        """Write means to the journal, after whatever else is measured: MLflow compares runs by what came first."""
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        values = {f"{prefix}{key}": value for key, value in metrics.items()}
        self._held.append({"metrics": values, "step": self._logging_step, "time": int(time.time() * 1000)})
        self._logging_step += 1
        self._others = self._others or any(
            not key.startswith(self._metrics_prefix) for key in self._journal.past().steps
        )
        if self._others:
            self._release()
        for monitor in self.monitors:
            monitor.clear_metrics()

    def finish(self) -> None:
        """Measure no more; write what was held back."""
        super().finish()
        self._release()

    def _release(self) -> None:
        self._journal.append(*self._held)
        self._held.clear()
