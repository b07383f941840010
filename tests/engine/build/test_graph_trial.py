"""Whether a step can be one CUDA graph, and the reason where it can't."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch

from p2pkit.engine.build import graph_trial
from p2pkit.engine.build.graph_trial import why_not_capturable
from p2pkit.errors import DeviceError

CPU, CUDA = {"engine.device": "cpu"}, {"engine.device": "cuda"}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_a_cpu_has_none_and_says_so(checked, work):
    run = checked(**CPU)
    assert why_not_capturable(run, run.plan.config.engine) == "cpu has no CUDA graphs"
    with pytest.raises(DeviceError, match=r"engine\.cuda_graph: on, but cpu has no CUDA graphs"):
        work(**CPU, **{"engine.cuda_graph": "on"}).train()


def test_the_run_says_whether_it_was_captured(work, monkeypatch):
    job = work(**CPU)
    facts = []
    record = job._record
    monkeypatch.setattr(job, "_record", lambda kind, found, **rest: facts.append(found) or record(kind, found, **rest))
    job.train()
    assert facts[0]["cuda_graph"] == "off: cpu has no CUDA graphs"


class _Graphed:
    """What is asked of a graphed step, the step being any function."""

    warm_up, examples = (0, 0, 0), (0,)

    def __init__(self, step):
        self.step = step

    def __call__(self, batches, number):
        self.step(batches, number)


@pytest.fixture
def on_gpu(checked, monkeypatch):
    """Ask for a reason as if there were a GPU, with a trial that is given."""
    monkeypatch.setattr(graph_trial, "choose_device", lambda wanted: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *device: None)
    watched = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: "default")
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", watched.append)

    def ask(step=None, **engine):
        monkeypatch.setattr(graph_trial, "GraphedStep", lambda plain: _Graphed(step))
        trial = SimpleNamespace(step=None, trial=list, enter=lambda phase: trial)
        monkeypatch.setattr(graph_trial, "assemble", lambda run, engine: trial if step else pytest.fail("was built"))
        run = checked(**CPU)
        said = why_not_capturable(run, run.plan.config.engine.model_copy(update=engine))
        assert watched[1::2] == ["default"] * (len(watched) // 2)
        return said

    return ask


@pytest.mark.filterwarnings("ignore:.*GradScaler is enabled, but CUDA is not available")
def test_what_is_known_beforehand_needs_no_trial(on_gpu, placed):
    assert on_gpu(cuda_graph="off") == "engine.cuda_graph is off"
    placed(RANK=0, WORLD_SIZE=2)
    assert on_gpu() == "gradients are exchanged with other processes"


def test_a_step_that_is_captured_has_no_reason_against_it(on_gpu):
    taken = []
    assert on_gpu(lambda batches, number: taken.append(number), precision="fp32") is None
    assert taken == [0] * 6  # two that are watched, those to warm up, and one to capture


@pytest.mark.filterwarnings("ignore")
def test_a_step_that_waits_says_for_what(on_gpu):
    def step(batches, number):
        warnings.warn("called a synchronizing CUDA operation", stacklevel=1)

    said = on_gpu(step, precision="fp32")
    assert said == "a component waits for the device (called a synchronizing CUDA operation)"


@pytest.mark.filterwarnings("ignore")
def test_another_warning_is_no_wait(on_gpu):
    assert on_gpu(lambda batches, number: warnings.warn("old", stacklevel=1), precision="fp32") is None


@pytest.mark.parametrize("captured", [False, True])
def test_a_step_that_fails_says_why_in_a_line_where_only_its_capture_does(on_gpu, captured):
    calls = []

    def step(batches, number):
        calls.append(number)
        if len(calls) > (5 if captured else 0):
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    if captured:
        said = on_gpu(step, precision="fp32")
        assert said == "the step can't be captured (operation not permitted when stream is capturing)"
    else:
        with pytest.raises(RuntimeError, match="operation not permitted"):
            on_gpu(step, precision="fp32")
