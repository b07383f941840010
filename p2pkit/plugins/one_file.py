"""One-file plugins: read once, known by their contents, and brought along by the runs that need them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from p2pkit.atomic_files import atomic_file, cache_folder
from p2pkit.errors import PluginError, Problem
from p2pkit.untyped import Json

FOLDER = "plugins"
"""Folder in a run's folder, and in each checkpoint, with the one-file plugins that the config names."""
_NAME = re.compile(r"[\w-]+")
_LARGEST = 2**24


@dataclass(frozen=True, slots=True)
class OneFile:
    """A plugin's file as it was read; what is imported is this, and never what lies there later, or its bytecode.

    Args:
        path: The file.
        source: What it holds; None where there is no such file.
    """

    path: Path
    source: bytes | None

    @classmethod
    def read(cls, path: Path) -> OneFile:
        """Read a file."""
        small = path.is_file() and path.stat().st_size <= _LARGEST
        return cls(path, path.read_bytes() if small else None)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.path.stem

    @property
    def sha256(self) -> str:
        """What stands for the contents."""
        return hashlib.sha256(self.source or b"").hexdigest()

    def load(self) -> ModuleType:
        """Import it."""
        if self.source is None:
            raise FileNotFoundError("there is no such file")
        name = f"p2pkit_plugin_{self.name}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            exec(compile(self.source, str(self.path), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def named_plugins(config: Json) -> set[str]:
    """Return the plugins whose components a resolved config uses, or a part of it."""
    if isinstance(config, Mapping):
        use = config.get("use")
        own = {use.partition(":")[0]} if isinstance(use, str) and ":" in use else set()
        return own.union(*map(named_plugins, config.values()))
    return set().union(*map(named_plugins, config)) if isinstance(config, list | tuple) else set()


def brought_along(names: Iterable[str], *folders: Path) -> Iterator[OneFile]:
    """Yield the files that folders hold for some plugins; for each that of the first folder that has one.

    Args:
        names: The plugins.
        *folders: A checkpoint's folder, a run's, or a sweep's.
    """
    for name in sorted(filter(_NAME.fullmatch, names)):
        found = [OneFile.read(folder / FOLDER / f"{name}.py") for folder in folders]
        yield from [file for file in found if file.source is not None][:1]


def bring_along(files: Mapping[str, OneFile], config: Json, folder: Path) -> None:
    """Write the plugins that a config names into a run's folder, and remember that this user has run them.

    Args:
        files: The one-file plugins that are loaded, by name.
        config: The resolved config, or several.
        folder: The folder of the run, or of the sweep.
    """
    wanted = [files[name] for name in sorted(named_plugins(config) & files.keys())]
    for file in wanted:
        to = folder / FOLDER / f"{file.name}.py"
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(to) as partial:
            partial.write_bytes(file.source or b"")
        _remember(file.sha256)


def is_known(file: OneFile) -> bool:
    """Whether this user has trained with a file of the same contents on this machine."""
    return (_known() / file.sha256).is_file()


def untrusted(file: OneFile) -> PluginError:
    """Return the error for a file that may not be run unasked."""
    cause = f"is code that this model brings along, and none of yours: nothing of it was run; SHA-256 {file.sha256}"
    remedy = (
        "read it; then give --trust (in Python trust=True), or list the SHA-256 at plugins.trust in --registry FILE"
    )
    return PluginError(Problem(str(file.path), cause, remedy))


def _known() -> Path:
    return cache_folder() / "trusted-plugins"


def _remember(sha256: str) -> None:
    try:
        _known().mkdir(parents=True, exist_ok=True)
        os.close(os.open(_known() / sha256, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError:  # then it is asked for
        return
