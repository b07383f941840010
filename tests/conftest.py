"""Fixtures of the whole suite."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pkit.registry import Registry, load_registry

# Small tensors gain nothing from threads, and lose a lot where other work shares the cores. Set before torch is
# imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

WritePlugin = Callable[..., Path]
Python = Callable[..., str]


@pytest.fixture(scope="session", autouse=True)
def _nothing_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is made again and again out of the user's folders, and download nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("tests download nothing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("P2PKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("torch.hub.urlopen", refuse)
        yield


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The built-ins and the packaged registry.yaml, whatever is installed here."""
    return load_registry(discover=False, start=tmp_path_factory.mktemp("no_registry"))


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The built-ins without the tracker, which has tests of its own."""
    file = tmp_path_factory.mktemp("quiet") / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    return load_registry(file, discover=False)


@pytest.fixture(scope="session")
def python() -> Python:
    """Run code in a process of its own, from a folder and with packages put before those of this environment."""

    def run(code: str, folder: Path, *packages: Path) -> str:
        path = os.pathsep.join([*map(str, packages), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path.strip(os.pathsep)}
        command = [sys.executable, "-c", textwrap.dedent(code)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


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


@pytest.fixture(scope="session")
def _new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow, made once, since making its tables takes seconds."""
    import mlflow

    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _new_store: Path) -> Iterator[Path]:
    """Work in an empty folder that has a store of its own, and leave MLflow as if it had never been used."""
    import mlflow

    shutil.copy2(_new_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")  # MLflow sets it for later processes; this puts it back
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.tracking.fluent._active_experiment_id = None
