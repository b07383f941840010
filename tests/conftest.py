"""Fixtures of the whole suite."""

from __future__ import annotations

import copy
import functools
import gc
import importlib
import os
import runpy
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import p2pkit
from p2pkit.registry import Registry, load_registry

# Small tensors gain nothing from threads, and lose a lot where other work shares the cores. Set before torch is
# imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

WritePlugin = Callable[..., Path]
Python = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that run the tests of the step, the losses, the augmentations and conformance elsewhere."""
    group = parser.getgroup("p2pkit")
    group.addoption("--device", default="cpu", help="where these tests compute: cpu, cuda")
    kinds = ["fp32", "bf16", "fp16"]
    group.addoption("--precision", default="fp32", choices=kinds, help="the arithmetic in which the step computes")


def pytest_configure(config: pytest.Config) -> None:
    """Let conformance try components there too, unless it is told where by an option of its own."""
    gc.disable()  # until all is imported: half a million objects that stay, looked through again and again
    if config.option.device != "cpu" and getattr(config.option, "p2pkit_device", None) is None:
        config.option.p2pkit_device = config.option.device


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none is left over when all others are done."""
    long = {item.path for item in items for mark in item.iter_markers() if mark.name in ("slow", "phantom", "browser")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Look for garbage again."""
    gc.enable()


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """Where tests compute: `--device`."""
    return str(pytestconfig.getoption("device"))


@pytest.fixture(scope="session")
def precision(pytestconfig: pytest.Config) -> str:
    """In which arithmetic the step computes: `--precision`."""
    return str(pytestconfig.getoption("precision"))


@pytest.fixture
def fp32(precision: str) -> None:
    """What a test needs whose numbers hold to the tolerances of fp32 alone."""
    if precision != "fp32":
        pytest.skip(f"its numbers are those of fp32, and this is {precision}")


@pytest.fixture(scope="session")
def tiny(device: str, precision: str) -> Iterator[dict[str, Any]]:
    """The config of a run that takes a second: drawn shapes and small networks; `{**tiny, ...}` varies it."""
    config: dict[str, Any] = {
        "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
        "generator": "unet_tiny",
        "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
        "losses": {"gan": {"weight": 1, "params": {"mode": "lsgan"}}, "l1": 100},
        "schedule": {"epochs": 2},
        "engine": {"batch": 4, "log_every": 1, "device": device, "precision": precision},
        "evaluate": {"metrics": ["l1"], "samples": 2},
    }
    before = copy.deepcopy(config)
    yield config
    assert config == before, "a test has changed the config of all others"


@pytest.fixture(scope="session")
def small_run(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of an epoch, to take models out of; a test that changes its files copies them first."""
    from p2pkit.api import train

    plain = {"evaluate.every": 0, "tracking.model": False, "losses.gan": 0}
    folder = str(tmp_path_factory.mktemp("small"))
    return train(tiny, **{"schedule.epochs": 1, "tracking.folder": folder, **plain})


@pytest.fixture(scope="session", autouse=True)
def _nothing_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is made again and again out of the user's folders, and download nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("tests download nothing")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        monkeypatch.setattr("torch.hub.urlopen", refuse)
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


@pytest.fixture
def environment_as_it_was() -> Iterator[None]:
    """Put back what the command line, run in this process, sets for all processes that it starts."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def python(request: pytest.FixtureRequest) -> Python:
    """Run code in a process of its own, from a folder and with packages put before those of this environment."""

    def run(code: str, folder: Path, *packages: Path, warm: bool = False) -> str:
        path = os.pathsep.join([*map(str, packages), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path.strip(os.pathsep)}
        command = [sys.executable, "-c", textwrap.dedent(code)]
        real = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
        done = (request.getfixturevalue("warm").run if warm else real)(command, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def translator() -> p2pkit.Translator:
    """A generator that takes all that may stand beside a source."""
    import torch
    from torch import nn

    from p2pkit.engine.device.placement import Placement
    from p2pkit.engine.device.precision import Precision

    class Adds(nn.Module):
        """The source where it is summer, else the depth; a little noise on it."""

        multiple = 4

        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(1.0))

        def forward(self, source, season, depth, z, age=None):
            summer = season[:, 1].view(-1, 1, 1, 1)
            shown = source * summer + depth * (1 - summer)
            return (0.5 * shown + 0.1 * z.tanh()[:, :, None, None]).clamp(-1, 1) * self.factor

    extras = {
        "season": p2pkit.VectorSpec(2, "class", ("winter", "summer")),
        "depth": p2pkit.ImageSpec(1),
        "z": p2pkit.VectorSpec(3, "noise"),
        "age": p2pkit.VectorSpec(1),
    }
    spec = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 16, 16, extras=extras)
    cpu = torch.device("cpu")
    return p2pkit.Translator(Adds(), spec, Placement(cpu, Precision("fp32", cpu), torch.channels_last))


MARKING = """
import pathlib
from torch import nn

pathlib.Path({marker!r}).touch()

def plain(images: p2pkit.PairSpec) -> nn.Module:
    '''One convolution.'''
    return nn.Sequential(nn.Conv2d(images.source.channels, images.target.channels, 3, padding=1), nn.Tanh())

@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("plain", plain)
"""


@pytest.fixture(scope="session")
def marking() -> Callable[[Path], str]:
    """The code of a plugin that makes a file when it is imported."""
    return lambda marker: MARKING.format(marker=str(marker))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`subprocess.Popen` for processes that need not import, as the server that forks them has: warm_python.py."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    server = runpy.run_path(str(Path(__file__).with_name("warm_python.py")))["server"]
    with server(shared / "warm") as process:
        yield process


class SmallDisk:
    """A disk of eight megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> None:
        """Use all of it but some bytes."""
        found = os.statvfs(self.path)
        (self.path / "filler").write_bytes(b"x" * (found.f_bavail * found.f_bsize - leave))

    def lock(self) -> None:
        """Let it only be read."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a small disk, where that is allowed."""
    disk = SmallDisk(tmp_path / "disk")
    disk.path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk.path)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk can't be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk.path)], check=True)


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
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
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
