"""The store: whether it answers, and where its files go."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import p2pkit
from p2pkit.builtin.mlflow_tracker import store


def test_a_deleted_experiment_is_an_error_with_a_remedy(mlflow_here: Path, train: Any) -> None:
    experiment = MlflowClient().create_experiment("gone")
    MlflowClient().delete_experiment(experiment)
    with pytest.raises(p2pkit.PluginError, match=f"'gone' was deleted in MLflow\n.*restore -x {experiment}"):
        train(**{"tracking.experiment": "gone"})


def test_a_server_that_does_not_answer_is_an_error_at_once(mlflow_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(p2pkit.PluginError, match=f"no MLflow server answers at {address}"):
            store.check_reachable(address)
    store.check_reachable("sqlite:///anything.db")


def test_files_of_a_database_elsewhere_lie_beside_it(
    run_of: Any, mlflow_here: Path, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = mlflow_here / "else where"
    elsewhere.mkdir()
    shutil.copy2(mlflow_here / "mlflow.db", elsewhere / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    outcome = train(**{"tracking.experiment": "a/b: c", "tracking.model": False})
    run_id = run_of(outcome.folder).info.run_id
    assert (elsewhere / "mlruns" / "a_b__c" / run_id / "artifacts" / "run.yaml").is_file()
    assert not (mlflow_here / "mlruns").exists() or not list((mlflow_here / "mlruns").iterdir())


def test_a_server_that_never_answers_is_an_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_HEALTH_TIMEOUT", 0.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(p2pkit.PluginError, match=f"no MLflow server answers at {address}"):
            store.check_reachable(address)
        assert time.monotonic() - begun < 5
        assert not store.answers(address)


def test_what_is_no_mlflow_server_is_said_so() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><HTML><body>welcome</body></HTML>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with pytest.raises(p2pkit.PluginError, match="is a web page and no MLflow server"):
            store.check_reachable(f"http://127.0.0.1:{web.server_port}")
        web.shutdown()


def test_an_address_without_http_is_told_how_it_is_written() -> None:
    with pytest.raises(p2pkit.PluginError, match=r"-> write http://127\.0\.0\.1:5000"):
        store.check_reachable("127.0.0.1:5000")


def test_limits_of_the_client_end_with_the_last_who_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    first, second = store.limited(), store.limited()
    with first:
        second.__enter__()
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    second.__exit__(None, None, None)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
