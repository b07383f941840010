"""Every hook of p2pkit: with `p2pkit.types` this file is the plugin API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from p2pkit.components import (
        Augmentation,
        Dataset,
        Discriminator,
        Executor,
        Generator,
        Loss,
        Metric,
        Optimizer,
        Reader,
        Schedule,
        Tracker,
    )
    from p2pkit.types import Report, Run, Samples

PLUGIN_API = 2
"""Version of this contract. A plugin states the one it was written for as `P2PKIT_PLUGIN_API`; absent means 1."""

hookspec = pluggy.HookspecMarker("p2pkit")
hookimpl = pluggy.HookimplMarker("p2pkit")


@hookspec
def p2pkit_generators() -> Iterable[Generator]:  # type: ignore[empty-body]  # a specification has no body
    """Offer generators; called once."""


@hookspec
def p2pkit_discriminators() -> Iterable[Discriminator]:  # type: ignore[empty-body]  # as above
    """Offer discriminators; called once."""


@hookspec
def p2pkit_losses() -> Iterable[Loss]:  # type: ignore[empty-body]  # as above
    """Offer losses; called once."""


@hookspec
def p2pkit_datasets() -> Iterable[Dataset]:  # type: ignore[empty-body]  # as above
    """Offer datasets; called once."""


@hookspec
def p2pkit_augmentations() -> Iterable[Augmentation]:  # type: ignore[empty-body]  # as above
    """Offer augmentations; called once."""


@hookspec
def p2pkit_metrics() -> Iterable[Metric]:  # type: ignore[empty-body]  # as above
    """Offer metrics; called once."""


@hookspec
def p2pkit_optimizers() -> Iterable[Optimizer]:  # type: ignore[empty-body]  # as above
    """Offer optimisers; called once."""


@hookspec
def p2pkit_schedules() -> Iterable[Schedule]:  # type: ignore[empty-body]  # as above
    """Offer schedules of the learning rate; called once."""


@hookspec
def p2pkit_trackers() -> Iterable[Tracker]:  # type: ignore[empty-body]  # as above
    """Offer trackers; called once."""


@hookspec
def p2pkit_readers() -> Iterable[Reader]:  # type: ignore[empty-body]  # as above
    """Offer readers of image files; called once."""


@hookspec
def p2pkit_executors() -> Iterable[Executor]:  # type: ignore[empty-body]  # as above
    """Offer executors; called once."""


@hookspec
def p2pkit_run_started(run: Run) -> None:
    """Learn that a run begins; an error raised here stops it.

    Args:
        run: The run, with its resolved config.
    """


@hookspec
def p2pkit_scalars(run: Run, step: int, scalars: Mapping[str, float]) -> str | None:
    """Receive what was measured since the last call, every `engine.log_every` steps.

    Args:
        run: The run.
        step: Number of updates of the generator so far; in a sweep the number of finished runs.
        scalars: Values by name: `train/...` for losses and verdicts, `speed/...` for throughput, `best/...` in a sweep.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_evaluated(run: Run, step: int, report: Report, samples: Samples) -> str | None:
    """Receive the outcome of an evaluation.

    Args:
        run: The run.
        step: Number of updates of the generator so far.
        report: Metrics and baselines.
        samples: The fixed samples' pictures.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_checkpointed(run: Run, step: int, path: Path, best: bool) -> str | None:
    """Learn that a checkpoint is complete on disk.

    One that is the best so far is told of first as the best, which is kept apart, and again as the latest where it is
    due. When a run is resumed, its best checkpoint is told of again.

    Args:
        run: The run.
        step: Number of updates of the generator so far.
        path: The checkpoint's folder.
        best: Whether it is the run's best one so far, by `checkpoint.best`.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_went_back(run: Run, step: int) -> str | None:
    """Learn that a training goes on from an earlier step than it had come to, and has set aside what it made later.

    It was resumed from an older checkpoint, or went back by itself by `engine.on_nan`.

    Args:
        run: The run.
        step: Number of updates of the generator that it goes on from.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_summarised(run: Run, facts: Plain, files: Sequence[Path]) -> str | None:
    """Receive what a run comes to as a whole; what comes later replaces what came before.

    A sweep says so which point is best, and hands over its table, contact sheet and plots.

    Args:
        run: The run.
        facts: Short values by name; whole numbers, fractions and texts.
        files: Files in the run's folder, or in folders within it.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_run_ended(run: Run, error: BaseException | None, reason: str) -> str | None:
    """Learn that a run is over.

    Args:
        run: The run.
        error: What ended it; None where it ended as planned.
        reason: Why a training ended: its schedule, early stopping or a signal; empty after an error.

    Returns:
        A sentence for the user, or nothing.
    """


@hookspec
def p2pkit_replay(folder: Path) -> str | None:
    """Send what runs in a folder have not got through to a tracker, and end the records of those that were killed.

    Called by `p2pkit tracking replay`, and by commands that look at many runs. Must send nothing twice.

    Args:
        folder: A run's folder, a sweep's, or the folder of all runs.

    Returns:
        What was done, in a line for each run; None where there was nothing to do.
    """
