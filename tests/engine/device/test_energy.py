"""Energy by made counters: a folder as the kernel has it, and an NVML that says what it is told to."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from p2pkit.engine.device import energy as room
from p2pkit.engine.device.energy import Counter, EnergyMeter, find_counters, open_energy_meter

CPU = torch.device("cpu")


@pytest.fixture
def zones(monkeypatch, tmp_path):
    """Counters of a machine as the kernel shows them; `zones(0, 5.0)` sets the joules of one."""
    monkeypatch.setattr(room, "POWERCAP", tmp_path)
    monkeypatch.setattr(room.socket, "gethostname", lambda: "gpu1")

    def write(zone, joules, name="package-0", span=100.0):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")
        (folder / "max_energy_range_uj").write_text(f"{span * 1e6:.0f}\n")

    return write


def test_packages_and_memory_are_counted_once(zones):
    zones(0, 1)
    zones("0:0", 1, "core")
    zones("0:1", 2, "dram")
    zones(1, 3, "psys")
    zones(2, 4, "package-1")
    found = find_counters(CPU)
    assert {counter.name: counter.read() for counter in found} == {
        "gpu1 intel-rapl:0": 1,
        "gpu1 intel-rapl:0:1": 2,
        "gpu1 intel-rapl:2": 4,
    }
    assert {counter.span for counter in found} == {100}


def test_a_counter_that_begins_anew(zones):
    zones(0, 90)
    meter = EnergyMeter(find_counters(CPU))
    zones(0, 15)
    assert meter.read() == pytest.approx(25)
    zones(0, 20)
    assert meter.read() == pytest.approx(5)


def test_what_is_left_out(zones):
    zones(0, 0)
    meter = EnergyMeter(find_counters(CPU))
    zones(0, 10)
    meter.take()
    zones(0, 40)
    meter.leave_out()
    zones(0, 42)
    assert meter.read() == pytest.approx(12)


def test_a_look_now_and_then_misses_no_second_beginning(zones, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    zones(0, 0)
    meter = EnergyMeter(find_counters(CPU))
    for joules in (80, 60, 40):  # each 80 more, of a counter that has room for 100
        now[0] += 61
        zones(0, joules)
        meter.watch()
    assert meter.read() == pytest.approx(240)


def test_a_counter_that_can_no_longer_be_read_is_no_number_and_no_error(zones, tmp_path):
    zones(0, 1)
    meter = EnergyMeter(find_counters(CPU))
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    assert math.isnan(meter.read())
    zones(0, 5)
    assert math.isnan(meter.read())  # from when on it counts is not known
    zones(0, 9)
    assert meter.read() == pytest.approx(4)


def test_why_nothing_is_measured_is_told_once(zones, monkeypatch, tmp_path):
    told = []
    assert open_energy_meter(CPU, told.append) is None
    assert told == [f"the energy that is used can't be measured: {tmp_path} has no counters of processors"]
    zones(0, 1)

    def refuse(self, *given, **named):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "read_text", refuse)
    assert open_energy_meter(CPU, told.append) is None
    assert "Permission denied" in told[1]
    assert len(told) == 2


@pytest.mark.parametrize(
    ("rank", "theirs", "own"),
    [
        (1, [["gpu1 intel-rapl:0"], ["gpu1 intel-rapl:0"]], []),
        (1, [["gpu2 intel-rapl:0"], ["gpu1 intel-rapl:0"]], ["gpu1 intel-rapl:0"]),
        (0, [["gpu1 intel-rapl:0"], ["gpu1 intel-rapl:0"]], ["gpu1 intel-rapl:0"]),
    ],
)
def test_of_the_processes_of_a_machine_one_reads_a_counter(zones, placed, monkeypatch, rank, theirs, own):
    zones(0, 1)
    placed(RANK=rank, WORLD_SIZE=2)
    monkeypatch.setattr(room, "all_gather", lambda value: [(names, "") for names in theirs])
    meter = open_energy_meter(CPU, pytest.fail)
    assert [counter.name for counter in meter.counters] == own


def test_where_one_process_can_not_measure_none_does(zones, placed, monkeypatch):
    zones(0, 1)
    placed(RANK=0, WORLD_SIZE=2)
    monkeypatch.setattr(room, "all_gather", lambda value: [value, ([], "Permission denied")])
    told = []
    assert open_energy_meter(CPU, told.append) is None
    assert told == ["the energy that is used can't be measured: Permission denied"]


def test_joules_are_those_of_all_processes(placed, monkeypatch):
    placed(RANK=0, WORLD_SIZE=4)
    monkeypatch.setattr(room, "all_reduce_mean", lambda values: (values + 3 * 2) / 4)  # the other three used 2 each
    joules = [1.0]
    meter = EnergyMeter([Counter("one", lambda: joules[0])])
    joules[0] = 11.0
    assert meter.read() == pytest.approx(16)


@pytest.fixture
def nvml(monkeypatch):
    """A driver's library whose counters say what they are told to, in millijoules."""

    class NVMLError(Exception):
        pass

    said = {}

    def consumption(handle):
        if handle not in said:
            raise NVMLError("Not Supported")
        return said[handle]

    made = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetTotalEnergyConsumption=consumption,
    )
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"b-{device.index}"))
    return said


def test_a_gpu_is_counted_by_nvml(nvml):
    nvml["GPU-b-1"] = 5000
    meter = EnergyMeter(find_counters(torch.device("cuda", 1)))
    nvml["GPU-b-1"] = 8500
    assert meter.read() == 3.5


def test_a_gpu_that_does_not_count(nvml):
    with pytest.raises(OSError, match="NVML does not tell: Not Supported"):
        find_counters(torch.device("cuda", 0))
    with pytest.raises(OSError, match="nothing counts the energy of mps"):
        find_counters(torch.device("mps"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_this_gpu_counts_upwards():
    try:
        counter, *_ = find_counters(torch.device("cuda", 0))
    except OSError as error:
        pytest.skip(str(error))
    before = counter.read()
    torch.ones(4096, 4096, device="cuda").matmul(torch.ones(4096, 4096, device="cuda")).sum().item()
    assert counter.read() >= before > 0
