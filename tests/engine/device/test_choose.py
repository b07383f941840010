"""Which device a run uses, and what this machine can't do of what is asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from p2pkit import ConfigError
from p2pkit.engine.device.choose import choose_device, device_name, device_problems, emulates_bf16


@pytest.fixture
def machine(monkeypatch):
    """Pretend to a machine: `machine(cuda=2, mps=False)`."""

    def pretend(cuda=0, mps=False):
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)

    return pretend


def test_auto_is_the_fastest_that_there_is(machine):
    for there, found in (({"cuda": 1, "mps": True}, "cuda"), ({"mps": True}, "mps"), ({}, "cpu")):
        machine(**there)
        assert choose_device("auto") == torch.device(found)


def test_what_is_written_is_taken(machine):
    machine(cuda=2)
    assert [str(choose_device(name)) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]


def test_several_processes_do_not_share_an_mps_device(machine, placed):
    machine(mps=True)
    placed(RANK=0, WORLD_SIZE=2, LOCAL_RANK=0)
    assert choose_device("auto") == torch.device("cpu")


def test_a_cpu_is_called_by_its_kind():
    assert device_name(torch.device("cpu")).startswith("cpu (")


@pytest.fixture
def asked(checked):
    """What is wrong with what an engine's config asks of this machine."""
    config = checked(**{"engine.device": "cpu"}).plan.config

    def problems(training=True, **engine):
        changed = config.model_copy(update={"engine": config.engine.model_copy(update=engine)})
        return [f"{problem.path}: {problem.cause}" for problem in device_problems(changed, training=training)]

    return problems


def test_an_mps_device_that_is_not_there(asked, machine):
    machine(mps=True)
    assert asked(device="mps") == []
    machine()
    assert asked(device="mps") == ["engine.device: there is no mps device here"]


def test_the_last_gpu_is_the_count_less_one(asked, machine):
    machine(cuda=2)
    assert asked(device="cuda:1") == asked(device="cuda") == []
    (said,) = asked(device="cuda:2")
    assert said.startswith("engine.device: there is no cuda:2 here: torch ")
    assert said.endswith(" sees 2 CUDA devices")
    machine()
    assert len(asked(device="cuda")) == 1


def test_fp16_is_for_gpus(asked, machine):
    machine()
    for device in ("auto", "cpu"):
        assert asked(device=device, precision="fp16") == ["engine.precision: fp16 is of no use on a CPU"]
    machine(cuda=1)
    assert asked(device="auto", precision="fp16") == []
    assert len(asked(device="cpu", precision="fp16")) == 1


def test_what_matters_in_training_is_no_problem_of_an_evaluation(asked, machine, placed):
    machine()
    placed(RANK=0, WORLD_SIZE=2)
    assert len(asked(device="cpu", sync_batch_norm=True)) == 1
    assert asked(device="cpu", sync_batch_norm=True, training=False) == []


def test_each_process_takes_a_gpu_of_its_own(monkeypatch, placed, checked):
    placed(RANK=3, WORLD_SIZE=4, LOCAL_RANK=1, LOCAL_WORLD_SIZE=2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes on this machine need a GPU each, and torch sees 1"):
        checked(**{"engine.device": "cuda", "engine.batch": 1})
    with pytest.raises(ConfigError, match="cuda:0 can't serve 4 processes"):
        checked(**{"engine.device": "cuda:0", "engine.batch": 1})


def test_statistics_are_shared_between_gpus_only(placed, checked):
    sharing = {"engine.sync_batch_norm": True, "engine.batch": 1}
    assert checked(**sharing).plan.config.engine.sync_batch_norm
    placed(RANK=0, WORLD_SIZE=2)
    with pytest.raises(ConfigError, match=r"engine.sync_batch_norm: .* these processes compute on a CPU") as caught:
        checked(**sharing)
    assert caught.value.problems[0].remedy == "set it to false, or use GPUs"


@pytest.mark.parametrize(("major", "hip", "emulated"), [(7, None, True), (8, None, False), (6, "6.2", False)])
def test_gpus_before_ampere_emulate_bf16(monkeypatch, major, hip, emulated):
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(major=major))
    monkeypatch.setattr("torch.version.hip", hip)
    assert emulates_bf16(torch.device("cuda")) == emulated


@pytest.mark.parametrize("supported", [True, False])
def test_a_cpu_emulates_bf16_where_its_library_has_no_kernels(monkeypatch, supported):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    assert emulates_bf16(torch.device("cpu")) != supported


def test_a_cpu_without_that_library_emulates_bf16(monkeypatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    assert emulates_bf16(torch.device("cpu"))


def test_what_is_neither_is_not_said_to(monkeypatch):
    assert not emulates_bf16(torch.device("mps"))
