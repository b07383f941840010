"""What the doctor finds, and what it must not do."""

from __future__ import annotations

import http.server
import importlib.metadata
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch

from p2pkit import doctor
from p2pkit.doctor import devices, names, packages, records, store


def by_name(findings):
    return {finding.name: finding for finding in findings}


@pytest.fixture
def uri(monkeypatch, tmp_path):
    """Work in an empty folder, and set where runs are recorded."""
    import mlflow

    mlflow.set_tracking_uri(None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda text: monkeypatch.setenv("MLFLOW_TRACKING_URI", str(text))


def test_it_looks_at_everything_and_leaves_nothing_behind(uri, tmp_path):
    found = doctor.examine()
    assert {finding.part for finding in found} >= {"packages", "devices", "names", "store", "folders"}
    assert {"python", "p2pkit", "torch", "torchvision", "kornia", "mlflow", "registry.yaml"} <= by_name(found).keys()
    assert [finding for finding in found if finding.state == "broken" and not finding.remedy] == []
    assert list(tmp_path.iterdir()) == []


def test_versions_are_those_that_are_installed():
    found = by_name(packages.look())
    assert {finding.state for finding in found.values()} == {"fine"}
    assert found["mlflow"].fact == importlib.metadata.version("mlflow")
    assert "jsonschema" not in found


@pytest.mark.parametrize(
    ("requirement", "fact", "remedy"),
    [
        ("surely-not-there>=2", "not installed", "pip install --upgrade 'surely-not-there>=2'"),
        ("torch>=999", "and p2pkit needs >=999", "pip install --upgrade 'torch>=999'"),
    ],
)
def test_a_package_that_is_missing_or_old(monkeypatch, requirement, fact, remedy):
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: [requirement])
    broken = [finding for finding in packages.look() if finding.state == "broken"]
    assert [(fact in finding.fact, finding.remedy) for finding in broken] == [(True, remedy)]


def test_a_package_that_can_not_be_imported(monkeypatch):
    def fail(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(packages.importlib, "import_module", fail)
    found = by_name(packages.look())
    assert found["torchvision"].state == "broken"
    assert "operator torchvision::nms does not exist" in found["torchvision"].fact
    assert found["numpy"].state == "fine"


def test_a_card_that_torch_does_not_see(monkeypatch):
    monkeypatch.setattr(devices, "_driver", lambda: ["Card, driver 1.0, 8 GiB"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    found = by_name(devices.look())
    assert found["driver"].fact == "Card, driver 1.0, 8 GiB"
    assert found["cuda"].state == "broken"
    assert "without CUDA" in found["cuda"].fact
    assert "pytorch.org" in found["cuda"].remedy
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert by_name(devices.look())["cuda"].remedy == "update the driver"


def test_a_device_that_can_not_compute():
    found = devices._computes(torch.device("cuda", 99))
    assert found.state == "broken"
    assert "can't compute" in found.fact


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card():
    found = by_name(devices.look())
    assert found["cuda"].state == "fine"
    assert torch.cuda.get_device_name(0) in found["cuda:0"].fact
    assert "bf16" in found["cuda:0"].fact


def test_why_energy_is_not_measured_is_said(monkeypatch):
    from p2pkit.engine.device import energy

    def refuse(device):
        raise PermissionError(13, "Permission denied", "/sys/energy_uj")

    monkeypatch.setattr(energy, "find_counters", refuse)
    found = devices._energy(torch.device("cpu"))
    assert (found.state, found.fact) == ("note", "is not measured: [Errno 13] Permission denied: '/sys/energy_uj'")
    assert "chmod a+r" in found.remedy
    monkeypatch.setattr(energy, "find_counters", lambda device: [energy.Counter("package", float)])
    assert devices._energy(torch.device("cpu")).fact == "is measured by package"


def test_registry_and_plugins(install, tmp_path):
    install("raise ValueError('no licence')", "bad")
    install("raise ValueError('imported')", "barred")
    install("def f(): 'F.'\n@p2pkit.hookimpl\ndef p2pkit_losses(): yield p2pkit.Loss('sharp', f)", "one")
    install("def g(): 'G.'\n@p2pkit.hookimpl\ndef p2pkit_losses(): yield p2pkit.Loss('sharp', g)", "two")
    file = tmp_path / "registry.yaml"
    file.write_text("plugins: {block: [barred]}\n")
    found = by_name(names.look(file, ()))
    assert found["registry.yaml"].fact == str(file)
    assert (found["bad"].state, found["barred"].state, found["one"].state) == ("broken", "note", "fine")
    assert found["bad"].fact == "bad-dist 1.2: ValueError: no licence"
    assert found["bad"].remedy == "mend or upgrade bad-dist, or add bad to plugins.block in registry.yaml"
    assert f"blocked in {file}" in found["barred"].fact
    assert found["one"].fact == "one-dist 1.2; loss sharp"
    assert found["loss sharp"].state == "note"
    assert "`prefer: {loss/sharp: one}`" in found["loss sharp"].remedy
    file.write_text("plugins: {block: [barred]}\nprefer: {loss/sharp: two}\n")
    assert "loss sharp" not in by_name(names.look(file, ()))


def test_a_registry_that_is_wrong(tmp_path):
    file = tmp_path / "registry.yaml"
    file.write_text("plugins: {blok: []}\nversion: 9\n")
    found = list(names.look(file, ()))
    assert {finding.state for finding in found} == {"broken"}
    assert any("plugins.blok" in finding.fact for finding in found)


def test_no_store_yet(uri, tmp_path):
    (found,) = store.look()
    assert (found.state, str(tmp_path / "mlflow.db") in found.fact) == ("fine", True)
    assert list(tmp_path.iterdir()) == []


def test_a_store_with_runs(mlflow_here):
    (found,) = store.look()
    assert (found.state, found.fact) == ("fine", f"{mlflow_here}/mlflow.db, 0 runs")


def test_a_store_of_another_mlflow(mlflow_here):
    with closing(sqlite3.connect(mlflow_here / "mlflow.db")) as connection, connection:
        connection.execute("update alembic_version set version_num = 'cafe'")
    (found,) = store.look()
    assert found.state == "broken"
    assert "another version of MLflow" in found.fact
    assert "mlflow db upgrade sqlite:///" in found.remedy


@pytest.mark.parametrize(("content", "fact"), [(b"not a database" * 99, "can't be read"), (b"", "has no tables")])
def test_a_file_that_is_no_store(uri, tmp_path, content, fact):
    (tmp_path / "mlflow.db").write_bytes(content)
    (found,) = store.look()
    assert found.state == "broken"
    assert fact in found.fact
    assert (tmp_path / "mlflow.db").read_bytes() == content


@contextmanager
def server(code: int):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.mark.parametrize(
    ("code", "state", "remedy"), [(200, "fine", ""), (403, "broken", "set MLFLOW_TRACKING_USERNAME")]
)
def test_a_server(uri, code, state, remedy):
    with server(code) as address:
        uri(address)
        (found,) = store.look()
    assert (found.state, found.remedy.startswith(remedy)) == (state, True)
    assert address in found.fact


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_nobody_answers(uri, scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri(f"{scheme}://me:secret@127.0.0.1:{free.getsockname()[1]}")
        (found,) = store.look()
    assert found.state == "broken"
    assert "answers at" in found.fact
    assert "secret" not in found.fact


def test_a_server_that_keeps_silent_is_not_waited_for(uri, monkeypatch):
    monkeypatch.setattr(store, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri(f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.perf_counter()
        (found,) = store.look()
    assert found.state == "broken"
    assert time.perf_counter() - begun < 3


def test_a_folder_that_can_not_be_written_to(tmp_path, monkeypatch):
    (fine,) = store.look_at_folder(tmp_path / "not" / "yet")
    assert (fine.state, str(tmp_path / "not" / "yet") in fine.fact) == ("fine", True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 2**20))
    (full,) = store.look_at_folder(tmp_path)
    assert (full.state, full.remedy) == ("broken", "make room for checkpoints")

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.tempfile, "TemporaryFile", refuse)
    (found,) = store.look_at_folder(tmp_path)
    assert (found.state, found.fact) == ("broken", f"{tmp_path} can't be written to: Permission denied")


def test_a_file_where_a_folder_should_be(tmp_path):
    (Path(tmp_path) / "runs").write_text("")
    (found,) = store.look_at_folder(tmp_path / "runs")
    assert found.state == "broken"


def test_a_database_that_can_not_be_written_to(mlflow_here, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).is_dir())
    found = by_name(store.look())["mlflow"]
    assert (found.state, "can't be written to" in found.fact) == ("broken", True)
    assert found.remedy


def test_a_database_that_can_not_be_made(uri, tmp_path, monkeypatch):
    uri(f"sqlite:///{tmp_path}/not/there/mlflow.db")
    (found,) = store.look()
    assert found.state == "fine"  # MLflow makes its folder
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (found,) = store.look()
    assert (found.state, f"{tmp_path} can't be written to" in found.fact) == ("broken", True)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_on_a_disk_that_can_only_be_read(small_disk):
    """Its record can't be ended; the doctor says so, and goes on."""
    journal = small_disk.path / "r" / "mlflow" / f"{'0' * 32}.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"status": "RUNNING"}\n')
    small_disk.lock()
    (found,) = records.look(small_disk.path, None, ())
    assert (found.state, "read-only" in found.fact) == ("note", True)


def test_a_database_on_a_full_disk(mlflow_here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    found = by_name(store.look())["mlflow"]
    assert (found.state, "is full" in found.fact) == ("broken", True)


def test_runs_that_were_killed(mlflow_here):
    from mlflow import MlflowClient

    client = MlflowClient()
    now = int(1000 * time.time())
    client.create_run("0", start_time=now, run_name="young")
    client.create_run("0", start_time=now - 10**8, run_name="killed")
    at_work = client.create_run("0", start_time=now - 10**8, run_name="long").info.run_id
    client.log_metric(at_work, "loss", 1.0, timestamp=now)
    ended = client.create_run("0", start_time=now - 10**8, run_name="ended").info.run_id
    client.set_terminated(ended)
    found = by_name(store.look())["runs"]
    assert found.fact.startswith("killed: recorded as running")
    assert "--resume" in found.remedy


@pytest.mark.parametrize(("free", "state"), [(10 * 2**30, "fine"), (2**29, "note"), (2**20, "broken")])
def test_room_for_checkpoints(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    (found,) = store.look_at_folder(tmp_path)
    assert (found.state, bool(found.remedy)) == (state, state != "fine")
