"""Record runs in MLflow; a tracker like any other, which takes part in every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import p2pkit
from p2pkit.builtin.mlflow_tracker.recorder import Recorder
from p2pkit.builtin.mlflow_tracker.replay import replay
from p2pkit.untyped import Plain


class MlflowTracker:
    """Records a run in MLflow, where `MLFLOW_TRACKING_URI` says or in a file; `tracking` has its keys.

    It begins a run there, goes on with the one it was, or joins the caller's active one.
    """

    def __init__(self, run: p2pkit.Run) -> None:
        self._recorder = Recorder.begin(run)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> str | None:
        """Log losses and speed."""
        with self._recording() as recorder:
            recorder.log_metrics(step, scalars)
            return recorder.news()

    def evaluated(self, step: int, report: p2pkit.Report, samples: p2pkit.Samples) -> None:
        """Log scores and sample pictures."""
        with self._recording() as recorder:
            recorder.log_report(step, report)
            recorder.log_samples(step, report.split, samples)
            recorder.log_description(step, report, samples)

    def checkpointed(self, step: int, path: Path, best: bool) -> None:
        """Let it be a model; that of the best, or else of the last one gets files when the run ends well."""
        with self._recording() as recorder:
            if best:
                recorder.log_best(step, path)
            else:
                recorder.log_checkpoint(step, path)

    def went_back(self, step: int) -> None:
        """Tag the run with the step, and forget checkpoints after it."""
        with self._recording() as recorder:
            recorder.go_back(step)

    def summarised(self, facts: Plain, files: Sequence[Path]) -> None:
        """Log what the run comes to as parameters and tags, and the files as artifacts."""
        with self._recording() as recorder:
            recorder.log_summary(facts, files)

    def ended(self, error: BaseException | None, reason: str) -> str | None:
        """Log the model and end the run, finished, failed or stopped."""
        with self._recording() as recorder:
            return recorder.finish(error, reason)

    @contextmanager
    def _recording(self) -> Iterator[Recorder]:
        """Yield the recorder; should it fail, nobody calls it again, so it ends its run before the error goes on."""
        try:
            yield self._recorder
        except BaseException as error:
            self._recorder.abandon(error)
            raise


@p2pkit.hookimpl
def p2pkit_trackers() -> Iterator[p2pkit.Tracker]:
    """Offer MLflow."""
    yield p2pkit.Tracker("mlflow", MlflowTracker, always=True)


@p2pkit.hookimpl
def p2pkit_replay(folder: Path) -> str | None:
    """Send what runs in a folder have not got through, and end the records of those that were killed."""
    return replay(folder)
