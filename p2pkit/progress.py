"""What a person sees of a run: a bar on a terminal, plain lines elsewhere, nothing where that is asked for."""

from __future__ import annotations

import logging
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

_SECONDS_BETWEEN_LINES = 10.0
_TIE = "\0"  # stands for a space at which no line ends


class ProgressReporter(Protocol):
    """Whoever wants to know how a run comes along."""

    def note(self, text: str) -> None:
        """Hear a sentence for the user."""
        ...

    def warn(self, text: str) -> None:
        """Hear a sentence that is told whatever else is shown."""
        ...

    def outcome(self, text: str) -> None:
        """Hear a sentence on what came of a run, which is told whatever else is shown."""
        ...

    def working(self, what: str, done: int, total: int) -> None:
        """Hear how far some work besides training has come.

        Args:
            what: The work, as it is shown.
            done: How many of its pieces are done.
            total: How many there are.
        """
        ...

    def trained(self, step: int, total: int, epoch: str, scalars: Mapping[str, float]) -> None:
        """Hear that steps are done.

        Args:
            step: The generator's updates so far.
            total: Those of the whole run.
            epoch: The epoch and their number, as they are shown.
            scalars: The latest ones that were read from the device.
        """
        ...

    def close(self) -> None:
        """Hear that nothing more will come."""
        ...


class Silent:
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Drop it."""

    def warn(self, text: str) -> None:
        """Make it a Python warning."""
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    def outcome(self, text: str) -> None:
        """Log it."""
        logging.getLogger("p2pkit").info(text)

    def working(self, what: str, done: int, total: int) -> None:
        """Drop it."""

    def trained(self, step: int, total: int, epoch: str, scalars: Mapping[str, float]) -> None:
        """Drop it."""

    def close(self) -> None:
        """Do nothing."""


class Bar:
    """A progress bar on a terminal."""

    def __init__(self, console: Console) -> None:
        columns: tuple[ProgressColumn, ...] = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            _Left(),
        )
        self._progress = _WithTerms(*columns, console=console, transient=False)
        self._tasks: dict[str, TaskID] = {}

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(Text(text))

    def warn(self, text: str) -> None:
        """Print it above the bar."""
        self.note(text)

    def outcome(self, text: str) -> None:
        """Print it above the bar."""
        self.note(text)

    def working(self, what: str, done: int, total: int) -> None:
        """Move the bar of this work."""
        self._move(what, what, done, total, "")

    def trained(self, step: int, total: int, epoch: str, scalars: Mapping[str, float]) -> None:
        """Move the bar of the training."""
        self._move("training", f"epoch {epoch}", step, total, terms_line(scalars, self._progress.console.width))

    def close(self) -> None:
        """Leave the terminal in order."""
        self._progress.stop()

    def _move(self, key: str, description: str, done: int, total: int, terms: str) -> None:
        self._progress.start()
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(description, total=total, completed=0, terms=terms)
            self._progress.reset(self._tasks[key], completed=done, total=total)
        self._progress.update(self._tasks[key], description=description, completed=done, terms=terms)


class _WithTerms(Progress):
    """Bars, and below them what the losses are: lines of their own, so that nothing is cut off on a narrow terminal."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bars and the lines."""
        yield from super().get_renderables()
        yield from (Text(task.fields["terms"]) for task in self.tasks if task.fields.get("terms"))


class _Left(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        left = super().render(task)
        return left if task.finished else left.append(" left")


class LogLines:
    """A plain line now and then, where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun: tuple[float, int] | None = None
        self._last = 0.0

    def note(self, text: str) -> None:
        """Print it."""
        self.console.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print it."""
        self.note(text)

    def outcome(self, text: str) -> None:
        """Print it."""
        self.note(text)

    def working(self, what: str, done: int, total: int) -> None:
        """Print when it is complete."""
        if done == total:
            self.console.print(Text(f"{what}: {done}"), soft_wrap=True)

    def trained(self, step: int, total: int, epoch: str, scalars: Mapping[str, float]) -> None:
        """Print every few seconds, and at the end."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = (now, step)
        if not scalars or (now - self._last < _SECONDS_BETWEEN_LINES and step < total):
            return
        self._last = now
        line = f"epoch {epoch}  step {step}/{total}  {terms_line(scalars)}"
        begun, first = self._begun
        if first < step < total:
            line += f"  {timespan((now - begun) / (step - first) * (total - step))} left"
        self.console.print(Text(line), soft_wrap=True)

    def close(self) -> None:
        """Do nothing."""


def terms_line(scalars: Mapping[str, float], width: int | None = None) -> str:
    """Write the terms and the speed: `G gan 0.41 l1 0.12  D gan 0.38  210 images/s`; in lines of a width, if given."""
    parts = []
    for letter, player in (("G", "generator"), ("D", "discriminator")):
        prefix = f"train/{player}/"
        names = [name.removeprefix(prefix) for name in scalars if name.startswith(prefix)]
        shown = [name for name in names if not name.endswith("_weighted") and name != "total"]
        if shown:
            parts.append(" ".join([letter, *(f"{name}{_TIE}{scalars[prefix + name]:.3g}" for name in shown)]))
    if "speed/images_per_second" in scalars:
        parts.append(f"{scalars['speed/images_per_second']:.3g}{_TIE}images/s")
    line = "  ".join(parts)
    return (line if width is None else textwrap.fill(line, width)).replace(_TIE, " ")


def timespan(seconds: float) -> str:
    """Write a time as `40 s`, `1.5 min` or `3.2 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def reporter(show: bool) -> ProgressReporter:
    """Return what fits the place the output goes to."""
    if not show:
        return Silent()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal and not console.is_dumb_terminal else LogLines(console)


def line_printer(show: bool) -> Callable[[str], None]:
    """Return what prints whole lines at once, or nothing."""
    return partial(print, flush=True) if show else lambda line: None
