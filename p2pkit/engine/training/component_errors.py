"""Which component an error came from, said in a sentence, with the traceback kept beside the run."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from p2pkit.atomic_files import atomic_file
from p2pkit.config import Part, Plan
from p2pkit.engine.distributed.world import world
from p2pkit.engine.storage.layout import TRACEBACK
from p2pkit.errors import P2pkitError, Problem, StorageError, TrainingError, first_line


@contextmanager
def attribute_errors(plan: Plan, folder: Path) -> Iterator[None]:
    """Turn whatever a component raises into an error for users that names it; other errors pass.

    Args:
        plan: The run's components.
        folder: The run's folder, where the traceback is kept.

    Raises:
        TrainingError: A component failed.
    """
    try:
        yield
    except P2pkitError:
        raise
    except Exception as error:
        parts = components_in_traceback(error, plan)
        if not parts:
            raise
        rank = world().rank
        file = folder / (f"error-{rank}.txt" if rank else TRACEBACK)
        try:  # the main process made the folder, maybe on another machine
            with atomic_file(file) as partial:
                partial.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            where = f"the traceback is in {file}"
        except StorageError as refused:  # what failed first is what the user must hear of
            where = f"its traceback {refused.problems[0].cause}"
        path, name = (" or ".join(dict.fromkeys(names)) for names in zip(*map(_names, parts), strict=True))
        remedy = f"{_advice(error)}{where}"
        raise TrainingError(Problem(path, f"{name} failed: {first_line(error, typed=True)}", remedy)) from error


def components_in_traceback(error: BaseException, plan: Plan) -> list[Part]:
    """Return the component that an error came from; several where they can't be told apart, none if it was no one's.

    The first object on the way that a component's factory made is to blame; where there is none, the last module.
    """
    single = (plan.dataset, plan.generator, plan.discriminator, plan.schedule)
    several = (*plan.augment, *plan.losses.values(), *plan.metrics.values(), *plan.optimizers.values())
    parts = [*filter(None, single), *several]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in frames:
        made = [part for part in parts if type(frame.f_locals.get("self")) in part.made]
        if made:
            return made
    for frame in reversed(frames):
        home = _home(str(frame.f_globals.get("__name__")))
        within = [part for part in parts if _home(part.component.factory.__module__) == home]
        if within:
            return within
    return []


def _home(module: str) -> str:
    """Return a plugin's top package; of p2pkit's own modules each is a home of its own."""
    top = module.partition(".")[0]
    return module if top == "p2pkit" else top


def _names(part: Part) -> tuple[str, str]:
    return part.path, part.component.full_name


def _advice(error: Exception) -> str:
    return "lower engine.batch or the images' size; " if isinstance(error, torch.OutOfMemoryError) else ""
