"""Errors for users: where the mistake is, what is wrong, what to do."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

from p2pkit.passwords import without_password


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        path: Where the mistake is: a key of the config (`losses.l1.weight`), a file, a plugin.
        cause: What is wrong, as one sentence without a full stop.
        remedy: What the user can do about it; empty where the cause says it all.
    """

    path: str
    cause: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return without_password(f"{where}{self.cause}" + (f"\n  -> {self.remedy}" if self.remedy else ""))


class Stopped(KeyboardInterrupt):
    """A signal ends the work where there is nothing to save, or for the second time.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number

    @classmethod
    def of(cls, error: KeyboardInterrupt) -> Stopped:
        """Return an interruption as what it was: Python's own is that of Ctrl-C."""
        return error if isinstance(error, cls) else cls(signal.SIGINT)


class P2pkitError(Exception):
    """Base of all errors for users; the command line prints its problems and exits with code 2.

    Args:
        problems: Everything that was found wrong, in the order it was found.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[P2pkitError], tuple[tuple[Problem, ...]]]:
        """Keep the problems when a worker process sends the error."""
        return type(self), (self.problems,)


def first_line(error: BaseException, *, typed: bool = False) -> str:
    """Return the first line of what an error says, since some libraries add pages; its type where it says nothing.

    Args:
        error: The error, of whatever kind.
        typed: Whether its type stands before, as the words of many errors mean little without it.
    """
    name, line = type(error).__name__, str(error).strip().partition("\n")[0].rstrip()
    if not line:
        return name
    return f"{name}: {line}" if typed else line


class ConfigError(P2pkitError):
    """A run's config can't be run: bad structure, unknown names, wrong parameters, shapes that don't fit."""


class RegistryError(P2pkitError):
    """A registry.yaml is malformed, or a name in it or a name asked of it leads nowhere."""


class PluginError(P2pkitError):
    """A plugin that the user asked for could not be loaded, or failed while a run needed it."""


class DataError(P2pkitError):
    """Images can't be read, or there are none."""


class ModelError(P2pkitError):
    """A run or checkpoint can't be found, read or used."""


class StorageError(P2pkitError):
    """A file can't be written: there is no room, no permission, or the disk can only be read."""


class DeviceError(P2pkitError):
    """This machine can't do what the config asks of it."""


class TrainingError(P2pkitError):
    """A run went wrong after it had started."""


class ComponentError(Exception):
    """Raised by a component's factory when its parameters can't be used together with the images at hand.

    The engine adds the place in the config and reports it together with all other problems.

    Args:
        cause: What is wrong, as one sentence without a full stop.
        remedy: What the user can do about it.
        parameter: The parameter that is to blame, where it is one.
    """

    def __init__(self, cause: str, *, remedy: str = "", parameter: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.parameter = parameter

    def at(self, path: str) -> Problem:
        """Return the problem as it is reported for the component at `path` of a config."""
        where = f"{path}.params.{self.parameter}" if self.parameter else path
        return Problem(where, self.cause, self.remedy)


def of_the_meta_device(error: BaseException) -> bool:
    """Tell whether the meta device may be to blame: it says so in many ways, but never without its name."""
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()
