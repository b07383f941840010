"""A server that is stopped, frozen, slow or wrong, a database that is locked: nothing waits, nothing is lost."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from mlflow import MlflowClient

import p2pkit
from p2pkit import DatasetFacts, ImageSpec, PairSpec, Run
from p2pkit.builtin.mlflow_tracker import sender
from p2pkit.builtin.mlflow_tracker.recorder import Recorder
from p2pkit.builtin.mlflow_tracker.replay import replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
STEPS, NAMES = 300, [f"train/term{index}" for index in range(8)]


@pytest.fixture
def recording(tmp_path, monkeypatch, tiny):
    """Begin a record in a store, as a training would."""
    monkeypatch.chdir(tmp_path)

    def begin(uri: str) -> Recorder:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        folder = tmp_path / "runs" / "tiny"
        folder.mkdir(parents=True)
        image = ImageSpec(3)
        facts = DatasetFacts("shapes", PairSpec(image, image, 16, 16), {"train": 8}, "aa11")
        engine = {**tiny["engine"], "seed": 0}
        config = {
            **tiny,
            "engine": engine,
            "origin": "",
            "tracking": {"experiment": "outages", "tags": {}, "system_metrics": False},
        }
        config["tracking"] |= {"model": False, "folder": "runs"}
        return Recorder.begin(Run("tiny", "training", folder, config, facts, {"torch": "2.11.0"}))

    return begin


def train(recorder: Recorder, act: dict[int, Callable[[], object]], step_seconds: float = 0.02) -> float:
    """Log as a loop does; return the longest that one call took, having printed what all took."""
    longest = spent = 0.0
    for step in range(1, STEPS + 1):
        act.get(step, lambda: None)()
        begun = time.perf_counter()
        recorder.log_metrics(step, dict.fromkeys(NAMES, step / 7))
        recorder.news()
        took = time.perf_counter() - begun
        longest, spent = max(longest, took), spent + took
        time.sleep(step_seconds)
    print(f"\nmean of a call {1e6 * spent / STEPS:.0f} us")
    return longest


def tell(kind: str, points, longest: float) -> None:
    lost = STEPS * len(NAMES) - len(points)
    doubled = sum(count - 1 for count in points.values())
    wait = f"longest wait {longest * 1000:.1f} ms"
    print(f"\n| {kind} | {STEPS * len(NAMES)} sent | {lost} lost | {doubled} doubled | {wait} |")
    assert (lost, doubled) == (0, 0)
    assert longest < 1


@pytest.mark.parametrize("kind", ["restarted", "frozen"])
def test_a_server_that_is_away_for_a_while_gets_all(kind, server, recording, points) -> None:
    recorder = recording(server.uri)
    acts = {
        "restarted": {100: server.kill, 200: server.start},
        "frozen": {100: lambda: server.signal(signal.SIGSTOP), 250: lambda: server.signal(signal.SIGCONT)},
    }
    longest = train(recorder, acts[kind])
    assert recorder.finish(None) is None
    tell(kind, points(MlflowClient(server.uri), recorder.run_id), longest)
    assert MlflowClient(server.uri).get_run(recorder.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("kind", ["500", "garbage", "lost", "slow"])
def test_a_server_that_answers_wrongly_for_a_while_gets_all(kind, server, proxy, recording, points) -> None:
    recorder = recording(proxy.uri)
    acts = {50: lambda: setattr(proxy, "mode", kind), 250: lambda: setattr(proxy, "mode", "")}
    longest = train(recorder, acts)
    assert recorder.finish(None) is None
    tell(kind, points(MlflowClient(server.uri), recorder.run_id), longest)


def test_a_server_that_stays_away_leaves_a_journal_that_replay_sends_once(
    server, recording, points, monkeypatch
) -> None:
    monkeypatch.setattr(sender, "PATIENCE", 2.0)
    recorder = recording(server.uri)
    longest = train(recorder, {100: server.kill})
    begun = time.monotonic()
    told = recorder.finish(None)
    assert time.monotonic() - begun < 40
    assert told is not None
    assert f"send them by: p2pkit tracking replay {recorder.run.folder}" in told
    with pytest.raises(p2pkit.PluginError, match="no MLflow server answers"):
        replay(recorder.run.folder)
    server.start()
    assert "sent" in str(replay(recorder.run.folder))
    assert replay(recorder.run.folder) is None
    client = MlflowClient(server.uri)
    tell("stopped for good, then replayed", points(client, recorder.run_id), longest)
    assert client.get_run(recorder.run_id).info.status == "FINISHED"


def test_replay_while_the_run_goes_on_doubles_nothing(server, recording, points) -> None:
    recorder = recording(server.uri)
    longest = train(recorder, {step: lambda: replay(recorder.run.folder) and None for step in (50, 100, 150)})
    assert recorder.finish(None) is None
    found = points(MlflowClient(server.uri), recorder.run_id)
    tell("replayed meanwhile", found, longest)
    assert MlflowClient(server.uri).get_run(recorder.run_id).info.status == "FINISHED"


def test_a_locked_database_is_waited_for(mlflow_here, recording, points) -> None:
    uri = f"sqlite:///{mlflow_here}/mlflow.db"
    recorder = recording(uri)
    with closing(sqlite3.connect(mlflow_here / "mlflow.db", isolation_level=None)) as other:
        longest = train(recorder, {20: lambda: other.execute("BEGIN EXCLUSIVE")})
        deadline = time.monotonic() + 100
        while not recorder.sender.outage:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        other.execute("ROLLBACK")
    assert recorder.finish(None) is None
    tell("database locked", points(MlflowClient(uri), recorder.run_id), longest)
