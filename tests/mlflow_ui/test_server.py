"""Which store, which addresses, and a real server on loopback."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from p2pkit import mlflow_store
from p2pkit.errors import ModelError, P2pkitError
from p2pkit.mlflow_ui import page, server


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing was ever recorded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def recorded(*experiments: str) -> dict[str, tuple[str, str]]:
    """Make an experiment with one run for each name; return their ids."""
    client = MlflowClient()
    ids = [(name, client.create_experiment(name)) for name in experiments]
    return {
        name: (made, client.create_run(made, start_time=1000 + index).info.run_id)
        for index, (name, made) in enumerate(ids)
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_runs_are_recorded_in_the_working_folder(bare: Path) -> None:
    assert server.tracking_uri() == f"sqlite:///{bare}/mlflow.db"
    assert list(bare.iterdir()) == []


def test_a_percent_sign_in_the_folder_survives(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = bare / "50% of"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert mlflow_store.database_file(mlflow_store.tracking_uri()) == odd / "mlflow.db"


def test_the_environment_and_the_caller_say_where_runs_are_recorded(
    mlflow_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    assert server.tracking_uri() == "http://tracking.example:5000"
    mlflow.set_tracking_uri("sqlite:///mine.db")
    assert server.tracking_uri() == "sqlite:///mine.db"


def test_addresses_lead_past_the_view_for_language_models(mlflow_here: Path) -> None:
    made = recorded("first", "second")
    experiment_id, run_id = made["first"]
    found = mlflow_store.addresses("first")
    start = f"http://127.0.0.1:5000/#/experiments/{experiment_id}/runs"
    assert found.runs == f"{start}?workflowType=machine_learning"
    assert found.charts == f"{found.runs}&compareRunsMode=CHART"
    assert found.run(run_id) == f"{start}/{run_id}?workflowType=machine_learning"
    assert found.compare(["a", "b"]) == (
        "http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a%22%2C%20%22b%22%5D"
        f"&experiments=%5B%22{experiment_id}%22%5D&workflowType=machine_learning"
    )


def test_the_experiment_with_the_latest_run_is_the_default(mlflow_here: Path) -> None:
    made = recorded("first", "second")
    assert mlflow_store.addresses().experiment == "second"
    MlflowClient().create_run(made["first"][0], start_time=5000)
    assert mlflow_store.addresses(base="http://localhost:1").runs.startswith(
        f"http://localhost:1/#/experiments/{made['first'][0]}/"
    )


def test_where_nothing_is_recorded_there_is_nothing_to_show(bare: Path) -> None:
    for show in (mlflow_store.addresses, server.serve, server.server().__enter__):
        with pytest.raises(ModelError, match=r"no runs yet in .*mlflow\.db\n.*p2pkit demo"):
            show()
    assert list(bare.iterdir()) == []


def test_a_store_without_runs_is_nothing_to_show_either(mlflow_here: Path) -> None:
    with pytest.raises(ModelError, match="there are no runs yet"):
        server.serve(open_browser=False)


def test_an_unknown_experiment_is_named_with_those_there_are(mlflow_here: Path) -> None:
    recorded("faces")
    with pytest.raises(ModelError, match=r"no experiment 'facades'.*\n.*Default, faces"):
        mlflow_store.addresses("facades")


def test_a_taken_port_is_named_with_one_that_is_free(mlflow_here: Path) -> None:
    recorded("faces")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(P2pkitError, match=rf"port {port} can't be used: .*\n.*p2pkit ui --port \d+"):
            server.serve(port=port, open_browser=False)


def test_a_server_that_does_not_start_says_why(mlflow_here: Path) -> None:
    (mlflow_here / "mlflow.db").write_text("no database")
    with pytest.raises(P2pkitError, match=r"(?s)did not start\n.*file is not a database"), server.server(0):
        pass


def test_the_store_s_own_server_is_only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    said: list[str] = []
    asked: list[object] = []
    monkeypatch.setattr(server, "tracking_uri", lambda: "http://tracking.example/")
    monkeypatch.setattr(
        server, "pages", lambda *arguments: asked.append(arguments) or ("http://tracking.example/#/page", "")
    )
    monkeypatch.setattr("webbrowser.open", opened.append)
    server.serve(["first"], report=said.append)
    assert said == opened == ["http://tracking.example/#/page"]
    assert asked == [(["first"], None)]


def test_the_page_is_a_view_of_the_experiment(mlflow_here: Path) -> None:
    made = recorded("first", "second")
    start = f"http://127.0.0.1:5000/#/experiments/{made['second'][0]}/runs"
    view = "workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=p2pkit"
    assert page.page() == f"{start}?{view}"
    assert page.page(experiment="first", base="").startswith(f"/#/experiments/{made['first'][0]}/runs?")
    assert "mlflow.sharedViewState.p2pkit" in MlflowClient().get_experiment(made["second"][0]).tags


def test_a_page_of_runs_holds_only_these(mlflow_here: Path) -> None:
    client = MlflowClient()
    experiment, _ = recorded("first")["first"]
    tags = {"p2pkit.kind": "training"}
    first, second = (client.create_run(experiment, tags=tags).info.run_id for _ in range(2))
    address = page.page([first, second], base="")
    key = address.partition("viewStateShareKey=")[2]
    assert key.startswith("p2pkit-")
    assert page.page([second, first], base="") == address
    assert (
        state(experiment, key)["searchFilter"]
        == f"attributes.run_id IN ({', '.join(sorted(map(repr, (first, second))))})"
    )


def test_a_page_of_a_sweep_holds_runs_yet_to_come(mlflow_here: Path) -> None:
    client = MlflowClient()
    experiment, _ = recorded("first")["first"]
    tags = {"p2pkit.kind": "training", "p2pkit.sweep": "weights"}
    for name in ("a", "b"):
        folder = mlflow_here / "runs" / "weights" / name
        folder.mkdir(parents=True)
        (folder / "run.yaml").write_text("tracking: {experiment: first}")
        (folder / "mlflow.id").write_text(client.create_run(experiment, tags=tags).info.run_id)
    key = page.page(["weights"]).partition("viewStateShareKey=")[2]
    filtered = "tags.`p2pkit.sweep` = 'weights' AND tags.`p2pkit.kind` = 'training'"
    assert state(experiment, key)["searchFilter"] == filtered
    one = page.page(["weights/a"]).partition("viewStateShareKey=")[2]
    assert str(state(experiment, one)["searchFilter"]).startswith("attributes.run_id IN ('")
    folders = [mlflow_here / "runs" / "weights"]
    assert page.way_to(["weights"], folders) == "p2pkit ui weights"
    assert page.way_to(["with space"], folders) == "p2pkit ui 'with space'"
    assert page.way_to(["gone"], [mlflow_here / "elsewhere"]) is None


def test_runs_that_no_page_can_show(mlflow_here: Path) -> None:
    made = recorded("first", "second")
    with pytest.raises(ModelError, match=r"several experiments.*: first, second\n.*p2pkit compare"):
        page.page([run_id for _, run_id in made.values()])
    unrecorded = mlflow_here / "runs" / "mine"
    unrecorded.mkdir(parents=True)
    (unrecorded / "run.yaml").write_text("tracking: {experiment: first}")
    with pytest.raises(ModelError) as failed:
        page.page(["mine", "gone", "0" * 32])
    said = [str(problem) for problem in failed.value.problems]
    assert "is not recorded in MLflow" in said[0]
    assert "there is no run or checkpoint 'gone'" in said[1]
    assert f"has no run {'0' * 32}" in said[2]


def state(experiment: str, key: str) -> dict[str, object]:
    """Read a view as MLflow's interface does."""
    packed = MlflowClient().get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"]
    found: dict[str, object] = json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))
    return found


def test_termination_counts_as_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), server._termination_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_it_serves_until_interrupted(mlflow_here: Path, warm: Any) -> None:
    recorded("faces")
    options = f"port={free_port()}, open_browser=False, report=lambda address: print(address, flush=True)"
    code = f"from p2pkit.mlflow_ui import server; server.serve({options})"
    process = warm([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    base, _, page = address.partition("/#/")
    assert "workflowType=machine_learning" in page
    with urllib.request.urlopen(base) as answer:
        assert b"MLflow" in answer.read()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(base, timeout=5)
    assert {*os.listdir(mlflow_here)} <= {".mlflow.db.lock", "mlflow.db", "mlruns"}
