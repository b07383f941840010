"""Runs that take a second: drawn shapes, small networks, nobody watching."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from p2pkit.config import load_config, resolve
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.check import check
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.training.session import RunSession
from p2pkit.plugins.loading import Plugins
from p2pkit.progress import Silent
from p2pkit.registry import Registry


@pytest.fixture
def checked(quiet, tiny):
    """Check a variation of the tiny config: `checked(**{"engine.ema": 0.9})`."""
    return lambda **overrides: check(resolve(load_config(tiny, overrides), quiet))


@pytest.fixture
def assembled(checked):
    return lambda **overrides: assemble(checked(**overrides))


@pytest.fixture
def batches(checked):
    """The first training batches of the tiny data, as networks see them."""

    def make(assembly, count=3):
        stored, _ = load_split(assembly.checked.dataset.pairs("train"))
        loader = Loader(stored, assembly.checked.spec, batch=4, place=assembly.place, shuffle=True)
        return [(batch.source, batch.target) for batch in list(loader.epoch())[:count]]

    return make


@pytest.fixture
def work(checked, quiet, tmp_path):
    """A whole run in a temporary folder."""
    return lambda folder=None, **overrides: RunSession(
        checked(**overrides), quiet.plugins, _made(folder or tmp_path / "run"), Silent()
    )


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def weights():
    """All tensors of a checkpoint by name."""

    def read(checkpoint):
        evaluated = load_file(checkpoint / "generator.safetensors")
        return load_file(checkpoint / "training.safetensors") | {
            f"evaluated.{name}": evaluated[name] for name in evaluated
        }

    return read


@pytest.fixture(scope="session")
def assert_same():
    """Whether tensors by name are equal to the bit."""

    def check_equal(first, second):
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert torch.equal(value, second[name]), name

    return check_equal


class Told(Silent):
    """A reporter that keeps what it is warned of."""

    def __init__(self):
        self.said = []

    def warn(self, text):
        self.said.append(text)


@pytest.fixture
def told():
    return Told()


LEARNED = """
    import torch
    from torch import nn
    P2PKIT_PLUGIN_API = {api}

    class Learned(nn.Module):
        '''Distances by a learned uncertainty, of the fake and of another one of the mirrored source.'''

        def __init__(self):
            super().__init__()
            self.log_var = nn.Parameter(torch.zeros(()))
            self.register_buffer("calls", torch.zeros(()))

        def generator(self, view):
            self.calls += 1
            again = view.generate(view.source.flip(-1))
            view.log("log_var", self.log_var)
            view.log("step", view.step)
            view.log("one", 1.0)
            apart = (view.fake - view.target).abs().mean() + (again.flip(-1) - view.target).abs().mean()
            return (-self.log_var).exp() * apart + self.log_var

        def discriminator(self, view):
            view.log("history", float(view.generate(view.source).requires_grad))
            return view.on_fake.logits[0].square().mean() * self.log_var.exp()

    @p2pkit.hookimpl
    def p2pkit_losses(): yield p2pkit.Loss("learned", Learned)
"""


@pytest.fixture
def learned(tiny, quiet, write_plugin):
    """Check a tiny run with a loss that learns, of a plugin for an API."""

    def make(*, api=2, **overrides):
        block = {"block": ["p2pkit.mlflow"]}
        plugins = Plugins(files=[write_plugin(LEARNED.format(api=api), "learned")], discover=False, **block)
        names = Registry(quiet.file, plugins)
        losses = {"gan": 1, "l1": 100, "learned": 2}
        return check(resolve(load_config(tiny, {"losses": losses, **overrides}), names))

    return make


@pytest.fixture(scope="session")
def seasonal(tiny, quiet):
    """Check a run whose networks take all that may stand beside images."""
    plugins = Plugins(files=[Path(__file__).with_name("seasons.py")], discover=False, block=["p2pkit.mlflow"])
    own = {
        "dataset": {"use": "seasons"},
        "generator": {"use": "film"},
        "discriminator": {"use": "judge"},
        "losses": {"gan": 1, "l1": 10, "diverse": 0.1},
        "engine": {**tiny["engine"], "batch": 2},
    }

    def make(noise={"z": 4}, **overrides):  # noqa: B006  never changed
        config = {**tiny, **own, "noise": noise or {}}
        return check(resolve(load_config(config, overrides), Registry(quiet.file, plugins)))

    return make


@pytest.fixture
def signalled():
    """Send this process a SIGTERM before a step, counting from 0: `work().train(on_step=signalled(3))`."""

    def before(step, when=lambda loop: True):
        def on_step(loop):
            if loop.status.progress.step == step and when(loop):
                os.kill(os.getpid(), signal.SIGTERM)

        return on_step

    return before


@pytest.fixture
def placed(monkeypatch):
    """Say what torchrun would: `placed(RANK=1, WORLD_SIZE=2)`; `placed()` is a process on its own."""

    def place(**values):
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return place
