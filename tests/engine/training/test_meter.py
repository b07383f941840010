"""Means of scalars and the speed, read once in a while."""

from __future__ import annotations

import pytest
import torch

from p2pkit.config.tracking import PriceConfig
from p2pkit.engine.device.energy import Counter, EnergyMeter
from p2pkit.engine.step.scalars import Scalars
from p2pkit.engine.training import meter as room
from p2pkit.engine.training.meter import Meter


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    now = [100.0]
    monkeypatch.setattr(room.time, "perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def scalars(weighted=None, **values):
    return Scalars(tuple(values), torch.tensor(list(values.values())), weighted or {})


def read(meter):
    return {name: value for name, value in meter.read().items() if not name.startswith("speed/")}


def test_values_are_means_since_the_last_reading(clock):
    meter = Meter()
    meter.add(scalars(a=1.0, b=10.0), 1, 0)
    meter.add(scalars(a=3.0, b=20.0), 1, 0)
    clock(1)
    assert read(meter) == {"a": 2, "b": 15}
    meter.add(scalars(a=7.0, b=0.0), 1, 0)
    clock(1)
    assert read(meter) == {"a": 7, "b": 0}


def test_a_step_may_write_its_values_to_the_same_place(clock):
    meter, place = Meter(), torch.zeros(1)
    for value in (1.0, 3.0, 8.0):
        meter.add(Scalars(("a",), place.fill_(value)), 1, 0)
    clock(1)
    assert read(meter) == {"a": 4}


def test_a_term_that_comes_now_and_then_is_a_mean_over_its_own_steps(clock):
    meter = Meter()
    for step in range(4):
        extra = {"lazy": float(step)} if step % 3 == 0 else {}
        meter.add(scalars(a=float(step), **extra), 1, 0)
    clock(1)
    assert read(meter) == {"a": 1.5, "lazy": 1.5}


def test_weighted_values_are_made_of_the_means(clock):
    meter = Meter()
    for value in (1.0, 2.0):
        meter.add(scalars({"a": 100.0, "absent": 5.0}, a=value, b=value), 1, 0)
    clock(1)
    assert read(meter) == {"a": 1.5, "b": 1.5, "a_weighted": 150}


def test_what_was_added_is_not_changed(clock):
    meter, first = Meter(), scalars(a=1.0)
    meter.add(first, 1, 0)
    meter.add(scalars(a=5.0), 1, 0)
    assert first["a"].item() == 1


def test_the_speed_leaves_out_what_an_evaluation_took(clock):
    meter = Meter()
    meter.add(scalars(a=1.0), 30, 0.5)
    clock(3)
    meter.add(scalars(a=1.0), 10, 0.5)
    clock(1)
    with meter.paused():
        clock(5)
    found = meter.read()
    assert found["speed/images_per_second"] == pytest.approx(40 / 4)
    assert found["speed/data_wait"] == pytest.approx(1 / 4)


def test_a_reading_begins_anew(clock):
    meter = Meter()
    assert meter.empty
    meter.add(scalars(a=1.0), 8, 1)
    assert not meter.empty
    clock(1)
    meter.read()
    assert meter.empty
    clock(2)
    assert meter.read() == {"speed/images_per_second": 0, "speed/data_wait": 0}


def test_the_speed_is_that_of_all_processes(clock, placed):
    placed(RANK=0, WORLD_SIZE=4)
    meter = Meter()
    meter.add(scalars(a=1.0), 10, 0)
    clock(2)
    found = meter.read()
    assert found["speed/images_per_second"] == 20
    assert found["speed/images_per_second_per_process"] == 5


@pytest.fixture
def energy():
    """An energy meter over a counter that is set by hand."""
    joules = [0.0]
    meter = EnergyMeter([Counter("made", lambda: joules[0])])

    def uses(more):
        joules[0] += more

    return meter, uses


def test_energy_and_price_are_those_of_training_alone(clock, energy):
    counts, uses = energy
    meter = Meter(counts, PriceConfig(kwh=0.36, hour=3.6))
    meter.add(scalars(a=1.0), 10, 0)
    uses(100)
    clock(4)
    with meter.paused():
        uses(1000)
        clock(50)
    meter.add(scalars(a=1.0), 10, 0)
    uses(60)
    clock(1)
    found = meter.read()
    assert found["speed/joules_per_image"] == pytest.approx(8)
    # 5 s at 0.001 a second, and 160 J at 1e-7 a joule, for 20 images
    assert found["speed/cost"] == pytest.approx(1000 * (0.005 + 160e-7) / 20)
    clock(1)
    assert "speed/joules_per_image" not in meter.read()  # of no image


@pytest.mark.parametrize(
    ("price", "cost"),
    [({}, None), ({"hour": 3.6}, 1.0), ({"kwh": 1}, None), ({"kwh": 1, "hour": 3.6}, None)],
)
def test_what_is_not_known_is_not_told(clock, price, cost):
    """A price of energy that can't be measured is not left out of a sum: that would be too little."""
    meter = Meter(None, PriceConfig(**price))
    meter.add(scalars(a=1.0), 2, 0)
    clock(2)
    assert meter.read().get("speed/cost") == cost


def test_all_processes_are_paid_for(clock, placed):
    placed(RANK=0, WORLD_SIZE=4)
    meter = Meter(None, PriceConfig(hour=3.6))
    meter.add(scalars(a=1.0), 2, 0)
    clock(2)
    assert meter.read()["speed/cost"] == pytest.approx(1)


def test_means_are_those_of_all_processes_by_one_exchange(clock, monkeypatch):
    asked = []
    monkeypatch.setattr(room, "all_reduce_mean", lambda values: asked.append(len(values)) or values + 1)
    meter = Meter()
    meter.add(scalars(a=1.0), 1, 0)
    meter.add(scalars(a=1.0, lazy=3.0), 1, 0)
    clock(1)
    assert read(meter) == {"a": 2, "lazy": 4}
    assert asked == [3]
