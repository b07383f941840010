"""Fixtures of the whole suite."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pkit.registry import Registry, load_registry

WritePlugin = Callable[..., Path]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The built-ins and the packaged registry.yaml, whatever is installed here."""
    return load_registry(discover=False, start=tmp_path_factory.mktemp("no_registry"))


@pytest.fixture
def write_plugin(tmp_path: Path) -> WritePlugin:
    """Write a one-file plugin; `import p2pkit` comes before its code."""

    def write(code: str, name: str = "acme") -> Path:
        file = tmp_path / f"{name}.py"
        file.write_text("import p2pkit\n" + textwrap.dedent(code), encoding="utf-8")
        return file

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritePlugin]:
    """Write a module with the metadata that pip would have left, and put both on the path."""
    site = tmp_path / "site"
    modules: list[str] = []

    def write(code: str, name: str = "acme", module: str | None = None, version: str = "1.2") -> Path:
        module = module or f"{name}_module"
        modules.append(module)
        info = site / f"{name}_dist-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[p2pkit.plugins]\n{name} = {module}\n")
        (site / f"{module}.py").write_text("import p2pkit\n" + textwrap.dedent(code), encoding="utf-8")
        importlib.invalidate_caches()
        return site

    monkeypatch.syspath_prepend(str(site))
    yield write
    for module in modules:
        sys.modules.pop(module, None)
