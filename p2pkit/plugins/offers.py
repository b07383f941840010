"""What plugins offer, by name: remembered from their last import for as long as nothing of them changes."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from p2pkit.atomic_files import atomic_file, cache_folder
from p2pkit.components import Component, Reader, Tracker
from p2pkit.errors import StorageError

FRESH = "P2PKIT_OFFERS"
"""Set to `fresh`, this environment variable has each plugin imported, whatever is remembered."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A component by name, whether or not its plugin has been imported.

    Args:
        kind: Its kind.
        name: Its bare name.
        plugin: The namespace of the plugin that offers it.
        summary: One line for `p2pkit list`.
        suffixes: What the names of a reader's files end with.
        always: Whether a tracker takes part in each run.
    """

    kind: str
    name: str
    plugin: str
    summary: str = ""
    suffixes: tuple[str, ...] = ()
    always: bool = False

    @classmethod
    def of(cls, component: Component) -> Offer:
        """Return a component's offer."""
        suffixes = component.suffixes if isinstance(component, Reader) else ()
        always = isinstance(component, Tracker) and component.always
        return cls(component.kind, component.name, component.plugin, component.summary, tuple(suffixes), always)

    @property
    def full_name(self) -> str:
        """The name that always works in a config, `plugin:name`."""
        return f"{self.plugin}:{self.name}"


@dataclass(frozen=True, slots=True)
class Known:
    """What a plugin's last import showed.

    Args:
        stamp: What it was then.
        offers: Its components.
        events: The run-event hooks that it implements.
    """

    stamp: str
    offers: tuple[Offer, ...]
    events: tuple[str, ...]


@dataclass
class _Contents:
    environment: str = ""
    plugins: dict[str, Known] = field(default_factory=dict)


_READ = TypeAdapter(_Contents)


class Remembered:
    """What is remembered of this environment's plugins, in one file of the user's cache.

    What several processes write at once is that of one of them. What can't be read, or was written when something else
    was installed, counts as nothing.
    """

    def __init__(self) -> None:
        self._file: Path | None = None
        with suppress(RuntimeError):  # a user without a home
            self._file = cache_folder() / "offers" / f"{hashlib.sha256(os.fsencode(sys.prefix)).hexdigest()[:16]}.json"
        self._changed = False
        self._stamps: dict[str, str] = {}

    @cached_property
    def _contents(self) -> _Contents:
        installed = _environment()
        if self._file is not None and os.environ.get(FRESH) != "fresh":
            with suppress(OSError, ValidationError):
                found = _READ.validate_json(self._file.read_bytes())
                if found.environment == installed:
                    return found
        return _Contents(installed)

    def stamp(self, module: str) -> str:
        """Return what changes with any file of a module's package; empty where that can't be told."""
        top = module.partition(".")[0]
        if top not in self._stamps:
            self._stamps[top] = _stamp(top)
        return self._stamps[top]

    def get(self, plugin: str, stamp: str) -> Known | None:
        """Return what is known of a plugin if it is still the same."""
        known = self._contents.plugins.get(plugin)
        return known if known is not None and known.stamp == stamp != "" else None

    def put(self, plugin: str, known: Known) -> None:
        """Remember what an import has shown."""
        if known.stamp and self._contents.plugins.get(plugin) != known:
            self._contents.plugins[plugin] = known
            self._changed = True

    def save(self) -> None:
        """Write what is new; where that can't be, it is found out again."""
        if self._changed and self._file is not None:
            with suppress(StorageError), atomic_file(self._file) as partial:
                partial.write_bytes(_READ.dump_json(self._contents))
            self._changed = False


def _environment() -> str:
    """Return what changes when anything is installed or removed: what a plugin offers may depend on others."""
    names: set[str] = set()
    for folder in dict.fromkeys(sys.path):
        with suppress(OSError):
            names.update(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))
    return _digest([sys.version, *sorted(names)])


def _stamp(package: str) -> str:
    try:
        spec = importlib.util.find_spec(package)
        places = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
        return _digest(line for place in places for line in _files(place)) if places else ""
    except (ImportError, OSError, ValueError):
        return ""


def _files(place: str) -> Iterator[str]:
    """Yield each file of a folder, or the one file, with its size and when it was changed."""
    for path in sorted(Path(place).rglob("*")) if Path(place).is_dir() else [Path(place)]:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and path.parent.name != "__pycache__":
            yield f"{path} {found.st_size} {found.st_mtime_ns}"


def _digest(lines: Iterator[str] | list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
