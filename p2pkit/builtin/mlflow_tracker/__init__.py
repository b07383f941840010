"""Record runs in MLflow; a plugin on the run events like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from p2pkit import Report, Run, Samples, hookimpl
from p2pkit.builtin.mlflow_tracker.recorder import Recorder
from p2pkit.builtin.mlflow_tracker.replay import replay
from p2pkit.untyped import Plain

_recorders: dict[Path, Recorder] = {}


@hookimpl
def p2pkit_run_started(run: Run) -> None:
    """Begin a run in MLflow, go on with the one it was, or join the caller's active one."""
    _recorders[run.folder] = Recorder.begin(run)


@hookimpl
def p2pkit_scalars(run: Run, step: int, scalars: Mapping[str, float]) -> str | None:
    """Log losses and speed."""
    with _recorder(run) as recorder:
        recorder.log_metrics(step, scalars)
        return recorder.news()


@hookimpl
def p2pkit_evaluated(run: Run, step: int, report: Report, samples: Samples) -> None:
    """Log scores and sample pictures."""
    with _recorder(run) as recorder:
        recorder.log_report(step, report)
        recorder.log_samples(step, report.split, samples)
        recorder.log_description(step, report, samples)


@hookimpl
def p2pkit_checkpointed(run: Run, step: int, path: Path, best: bool) -> None:
    """Let the checkpoint be a model; that of the best, or else of the last one gets files when the run ends well."""
    with _recorder(run) as recorder:
        if best:
            recorder.log_best(step, path)
        else:
            recorder.log_checkpoint(step, path)


@hookimpl
def p2pkit_went_back(run: Run, step: int) -> None:
    """Tag the run with the step, and forget checkpoints after it."""
    with _recorder(run) as recorder:
        recorder.go_back(step)


@hookimpl
def p2pkit_summarised(run: Run, facts: Plain, files: Sequence[Path]) -> None:
    """Log what the run comes to as parameters and tags, and the files as artifacts."""
    with _recorder(run) as recorder:
        recorder.log_summary(facts, files)


@hookimpl
def p2pkit_run_ended(run: Run, error: BaseException | None, reason: str) -> str | None:
    """Log the model and end the run, finished, failed or stopped."""
    with _recorder(run) as recorder:
        left = recorder.finish(error, reason)
    del _recorders[run.folder]
    return left


@hookimpl
def p2pkit_replay(folder: Path) -> str | None:
    """Send what runs in a folder have not got through, and end the records of those that were killed."""
    return replay(folder)


@contextmanager
def _recorder(run: Run) -> Iterator[Recorder]:
    """Yield the run's recorder; should it fail, nobody calls it again, so it ends its run before the error goes on."""
    recorder = _recorders[run.folder]
    try:
        yield recorder
    except BaseException as error:
        del _recorders[run.folder]
        recorder.abandon(error)
        raise
