"""Where plugins may be: p2pkit's own, those of this environment, and files."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from p2pkit.plugins.one_file import OneFile

GROUP = "p2pkit.plugins"
OWN = "p2pkit"
BUILTIN: tuple[tuple[str, str], ...] = (
    ("p2pkit.generators", "p2pkit.builtin.generators"),
    ("p2pkit.discriminators", "p2pkit.builtin.discriminators"),
    ("p2pkit.losses", "p2pkit.builtin.losses"),
    ("p2pkit.datasets", "p2pkit.builtin.datasets"),
    ("p2pkit.augmentations", "p2pkit.builtin.augmentations"),
    ("p2pkit.metrics", "p2pkit.builtin.metrics"),
    ("p2pkit.optimizers", "p2pkit.builtin.optimizers"),
    ("p2pkit.schedules", "p2pkit.builtin.schedules"),
    ("p2pkit.readers", "p2pkit.builtin.readers"),
    ("p2pkit.local", "p2pkit.builtin.local_executor"),
    ("p2pkit.csv", "p2pkit.builtin.csv_tracker"),
    ("p2pkit.mlflow", "p2pkit.builtin.mlflow_tracker"),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that may be imported.

    Args:
        name: Entry point's name, file's stem, or the built-in module's name.
        namespace: What the full names of its components begin with.
        origin: Distribution, file or `p2pkit` itself.
        version: The distribution's version, empty for a file.
        load: Imports it.
        module: The module, as the entry point names it; empty for a file.
    """

    name: str
    namespace: str
    origin: str
    version: str
    load: Callable[[], object]
    module: str = ""

    @property
    def key(self) -> str:
        """What it is remembered by."""
        return f"{self.name} = {self.module} of {self.origin} {self.version}"

    def named_in(self, names: Collection[str]) -> bool:
        """Whether a list names it, as `plugin` or as `plugin@distribution`."""
        bound = {(name, _canonical(origin)) for name, at, origin in (each.partition("@") for each in names) if at}
        return self.name in names or (self.name, _canonical(self.origin)) in bound


def _canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def builtin() -> Iterator[Candidate]:
    """Yield p2pkit's own."""
    version = importlib.metadata.version("p2pkit")
    for name, module in BUILTIN:
        yield Candidate(name, OWN, OWN, version, partial(importlib.import_module, module), module)


def installed() -> Iterator[Candidate]:
    """Yield those that distributions of this environment name."""
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        origin, version = (dist.name, dist.version) if dist else ("?", "")
        yield Candidate(entry.name, entry.name, origin, version, entry.load, entry.value)


def in_file(file: OneFile) -> Candidate:
    """Return a one-file plugin as a candidate."""
    return Candidate(file.name, file.name, str(file.path), "", file.load)
