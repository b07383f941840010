"""What `auto` means is measured once, remembered, and kept by a run that goes on."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from p2pkit.engine.build import autotune as room
from p2pkit.engine.build.assembly import assemble
from p2pkit.engine.build.autotune import autotune, reuse_settings
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.storage.state import read_state
from p2pkit.engine.training.checkpointing import load_checkpoint, save_checkpoint


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_crowded", lambda: False)
    return tmp_path / "cache" / "fastest.json"


@pytest.fixture
def checked(checked):
    """A run that leaves its arithmetic to be measured."""
    return lambda **overrides: checked(**{"engine.precision": "auto", **overrides})


@pytest.fixture
def seconds(monkeypatch):
    """Say how long a step takes with each setting, and count how often one is asked for."""
    asked = []

    def pretend(times, products=1.0):
        def step(checked, settings, captured, least=float("inf")):
            asked.append(settings)
            multiplied = settings["convolutions"] == "products" and settings["precision"] == "fp32"
            return times[settings["precision"], settings["memory_format"]] * (products if multiplied else 1.0)

        monkeypatch.setattr(room, "_seconds", step)
        return asked

    return pretend


TIMES = {("fp32", "channels_last"): 1.0, ("bf16", "channels_last"): 0.7, ("bf16", "contiguous"): 0.6}
ALIKE = {**TIMES, ("fp32", "contiguous"): 1.0}


def test_the_faster_setting_is_taken_and_remembered(checked, seconds, cache):
    asked = seconds(TIMES)
    run = checked()
    notes = []
    engine = autotune(run, 1000, note=notes.append)
    assert (engine.precision, engine.memory_format) == ("bf16", "contiguous")
    assert len(asked) == 4
    assert notes[1:] == ["fastest here: convolutions direct, precision bf16, memory_format contiguous"]
    assert autotune(run, 1000, note=notes.append) == engine
    assert len(asked) == 4
    assert len(notes) == 2
    best = {"convolutions": "direct", "precision": "bf16", "memory_format": "contiguous"}
    assert list(json.loads(cache.read_text()).values()) == [best]
    autotune(checked(**{"engine.batch": 2}), 1000)
    assert len(asked) == 8


def test_what_was_fastest_beside_other_work_is_not_remembered(checked, seconds, cache, monkeypatch):
    seconds(TIMES)
    monkeypatch.setattr(room, "_crowded", lambda: True)
    notes = []
    assert autotune(checked(), 1000, note=notes.append).precision == "bf16"
    assert notes[-1].endswith("(not remembered, since others use this machine)")
    assert not cache.exists()


def test_products_are_taken_where_they_are_faster_than_anything_else(checked, seconds):
    seconds(ALIKE, products=0.5)
    engine = autotune(checked(), 1000)
    assert (engine.convolutions, engine.precision, engine.memory_format) == ("products", "fp32", "channels_last")
    assert assemble(checked(), engine).facts()["convolutions"] == "products"


def test_products_are_for_fp32_alone(checked, seconds):
    asked = seconds(ALIKE, products=0.5)
    autotune(checked(**{"engine.precision": "bf16", "engine.memory_format": "contiguous"}), 1000)
    assert asked == []
    engine = autotune(checked(), 1000).model_copy(update={"convolutions": "products", "precision": "bf16"})
    assert assemble(checked(), engine).facts()["convolutions"] == "direct"


def test_a_small_gain_changes_nothing(checked, seconds):
    seconds({**TIMES, ("bf16", "channels_last"): 0.98, ("fp32", "contiguous"): 0.975})
    engine = autotune(checked(), 1000)
    assert (engine.precision, engine.memory_format) == ("fp32", "channels_last")


def test_what_is_written_is_not_measured(checked, seconds):
    asked = seconds(TIMES)
    said = {"engine.convolutions": "direct", "engine.precision": "fp32", "engine.memory_format": "contiguous"}
    run = checked(**said)
    assert autotune(run, 1000) == run.plan.config.engine
    short = checked()
    assert autotune(short, 100) == short.plan.config.engine
    assert asked == []


@pytest.fixture
def on_gpu(monkeypatch):
    """Say that a step would be on a GPU, and how long it takes there."""
    monkeypatch.setattr(room, "choose_device", lambda wanted: torch.device("cuda"))
    monkeypatch.setattr(room, "choose_precision", lambda wanted, device: SimpleNamespace(name="bf16"))
    monkeypatch.setattr(room, "describe", lambda device: {"device": "a GPU"})

    def pretend(**times):
        def step(checked, settings, captured, least=float("inf")):
            return times[settings["precision"]] * (times["compiled"] if settings.get("compile") == "on" else 1.0)

        monkeypatch.setattr(room, "_seconds", step)

    return pretend


@pytest.mark.parametrize(("fp32", "taken"), [(0.8, "fp32"), (0.99, "bf16"), (2.0, "bf16")])
def test_on_a_gpu_fp32_is_tried_against_bf16(checked, on_gpu, fp32, taken):
    on_gpu(bf16=1.0, fp32=fp32)
    notes = []
    assert autotune(checked(), 1000, note=notes.append).precision == taken
    assert notes[-1] == f"fastest here: precision {taken}, memory_format channels_last"


@pytest.mark.parametrize(("batch", "steps", "taken"), [(4, 10_000, "auto"), (16, 1_000, "off"), (16, 10_000, "on")])
def test_compiling_is_tried_in_long_runs_of_large_batches(checked, on_gpu, batch, steps, taken):
    on_gpu(bf16=1.0, fp32=2.0, compiled=0.5)
    run = checked(**{"engine.batch": batch, "dataset.params.count": 40})
    assert autotune(run, steps).compile == taken


def test_a_damaged_memory_is_measured_anew(checked, seconds, cache):
    asked = seconds(TIMES)
    cache.parent.mkdir()
    cache.write_text("{")
    autotune(checked(), 1000)
    assert len(asked) == 4
    assert json.loads(cache.read_text())


def test_real_steps_are_timed(checked):
    engine = autotune(checked(), 1000)
    assert engine.precision in ("fp32", "bf16")
    assert engine.memory_format in ("channels_last", "contiguous")


def test_measuring_leaves_the_run_as_it_was(checked):
    weights = [assemble(run).players.generator.network.state_dict() for run in (checked(), _measured(checked()))]
    for name, value in weights[0].items():
        assert value.equal(weights[1][name]), name


def _measured(run):
    autotune(run, 1000)
    return run


def test_a_run_that_goes_on_keeps_what_was_settled(checked, tmp_path):
    run = checked()
    engine = run.plan.config.engine.model_copy(update={"precision": "bf16", "memory_format": "contiguous"})
    path = save_checkpoint(tmp_path / "checkpoints", assemble(run, engine), Progress(3, 1, 0), run.plan.resolved())
    found = read_state(path)["settled"]
    again = reuse_settings(run.plan.config.engine, found)
    assert (again.precision, again.memory_format) == ("bf16", "contiguous")
    assert load_checkpoint(path, assemble(run, again)) == Progress(3, 1, 0)
    written = checked(**{"engine.precision": "fp32"}).plan.config.engine
    assert reuse_settings(written, found).precision == "fp32"
    assert reuse_settings(run.plan.config.engine, {**found, "device": "cuda"}) == run.plan.config.engine
