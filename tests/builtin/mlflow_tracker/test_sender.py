"""What is sent, when, and how often, with a store of the test's own that keeps every point it is given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from p2pkit.builtin.mlflow_tracker.delivery import Delivery
from p2pkit.builtin.mlflow_tracker.journal import Journal
from p2pkit.builtin.mlflow_tracker.sender import Sender


class Store:
    """Takes metrics; unlike MLflow's database it keeps a point twice that comes twice."""

    def __init__(self) -> None:
        self.points: list[Any] = []
        self.failures: list[str] = []
        self.seconds = 0.0

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any, synchronous: bool) -> None:
        time.sleep(self.seconds)
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "away":
            raise MlflowException("API request to http://host failed")
        if any(param.value == "changed" for param in params):
            raise MlflowException("Changing param values is not allowed", error_code=INVALID_PARAMETER_VALUE)
        self.points += metrics
        if failure == "killed after it wrote":
            raise MlflowException("Connection aborted")

    def get_run(self, run_id: str) -> Any:
        latest = {point.key: point.value for point in self.points}
        return SimpleNamespace(data=SimpleNamespace(metrics=latest), info=SimpleNamespace(lifecycle_stage="active"))

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return [point for point in self.points if point.key == key]

    @property
    def steps(self) -> list[int]:
        return [point.step for point in self.points]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.of(tmp_path, "0" * 32)


@pytest.fixture
def delivery(store: Store, journal: Journal) -> Delivery:
    return Delivery(store, journal)


@pytest.fixture
def sender(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    monkeypatch.setattr("p2pkit.builtin.mlflow_tracker.sender._PACE", 0.05)
    thread = Sender(delivery, "sqlite:///here.db")
    yield thread
    if thread.ident is not None:
        thread.drain(0)
        thread.join(10)


def log(journal: Journal, *steps: int) -> None:
    journal.append(*({"metrics": {"l1": step / 2}, "step": step, "time": 1000 + step} for step in steps))


def test_many_entries_go_in_one_request_in_order(store: Store, journal: Journal, delivery: Delivery) -> None:
    store.failures = ["", "one request must be enough"]
    log(journal, *range(50))
    delivery.forward()
    assert store.steps == list(range(50))
    assert len(store.failures) == 1
    assert journal.pending == 0


def test_what_was_written_and_not_acknowledged_is_not_doubled(
    store: Store, journal: Journal, delivery: Delivery
) -> None:
    log(journal, 1, 2)
    store.failures = ["killed after it wrote"]
    with pytest.raises(MlflowException):
        delivery.forward()
    log(journal, 3)
    delivery.forward()
    assert store.steps == [1, 2, 3]


def test_another_process_goes_on_where_the_first_left_off(store: Store, journal: Journal, delivery: Delivery) -> None:
    log(journal, 1)
    delivery.forward()
    log(journal, 2)
    Delivery(store, Journal(journal.path)).forward()
    delivery.forward()
    assert store.steps == [1, 2]


def test_what_the_store_refuses_for_itself_stops_nothing_else(
    store: Store, journal: Journal, delivery: Delivery
) -> None:
    log(journal, 1)
    journal.append({"params": {"lr": "changed"}})
    log(journal, 2)
    delivery.forward()
    assert store.steps == [1, 2]
    assert delivery.refused == ["Changing param values is not allowed"]


def test_an_outage_is_over_by_itself(store: Store, journal: Journal, sender: Sender) -> None:
    store.failures = ["away"] * 3
    log(journal, 1)
    sender.start()
    deadline = time.monotonic() + 20
    while not sender.outage and time.monotonic() < deadline:
        time.sleep(0.005)
    assert "failed" in sender.outage
    log(journal, 2)
    assert sender.drain(20)
    assert store.steps == [1, 2]
    assert sender.outage == ""


def test_the_end_waits_no_longer_than_it_says(store: Store, journal: Journal, sender: Sender) -> None:
    store.failures = ["away"] * 10_000
    log(journal, 1)
    sender.start()
    begun = time.monotonic()
    assert not sender.drain(0.5)
    assert time.monotonic() - begun < 5
    assert journal.left == 1


def test_a_store_that_takes_its_time_costs_training_nothing(store: Store, journal: Journal, sender: Sender) -> None:
    store.seconds = 0.3
    sender.start()
    costs = []
    for step in range(100):
        begun = time.perf_counter()
        log(journal, step)
        costs.append(time.perf_counter() - begun)
        time.sleep(0.005)
    assert sorted(costs)[50] < 0.01 * 0.05  # of 50 steps at 1,000 images/s, between two readings
    assert sender.drain(20)
    assert store.steps == list(range(100))
