"""Runs that take a second: drawn shapes, small networks, nobody watching."""

from __future__ import annotations

import os
import signal

import pytest

from p2pkit.config import load_config, resolve
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.check import check
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent

TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": {"weight": 1, "params": {"mode": "lsgan"}}, "l1": 100},
    "schedule": {"epochs": 2},
    "engine": {"batch": 4, "log_every": 1, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 2},
}


@pytest.fixture
def tiny():
    return TINY


@pytest.fixture
def checked(quiet):
    """Check a variation of the tiny config: `checked(**{"engine.ema": 0.9})`."""
    return lambda **overrides: check(resolve(load_config(TINY, overrides), quiet))


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


@pytest.fixture
def signalled():
    """Send this process a SIGTERM before a step, counting from 0: `work().train(on_step=signalled(3))`."""

    def before(step, when=lambda loop: True):
        def on_step(loop):
            if loop.status.progress.step == step and when(loop):
                os.kill(os.getpid(), signal.SIGTERM)

        return on_step

    return before
