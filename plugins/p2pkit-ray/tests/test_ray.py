"""Ray as an executor, on a cluster of two nodes of this machine; all in one file, so that it is started once."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
from dataclasses import asdict
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import p2pkit
import pytest
import ray
from p2pkit.testing import conformance
from p2pkit.testing.works import piece

import p2pkit_ray
from p2pkit_ray import there
from p2pkit_ray.connection import connect
from p2pkit_ray.nodes import Nodes

GIB = 2**30


def _example():
    spec = importlib.util.spec_from_file_location("two_nodes", Path(__file__).parents[1] / "examples" / "two_nodes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


two_nodes = _example()


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with two_nodes.two_nodes() as made:
        connect(made.address)
        yield made
        ray.shutdown()


TestRay = conformance("ray", examples={"ray": {"workers": 2}})


def test_what_is_asked_for_is_looked_for_on_all_nodes():
    nodes = Nodes((("a", {"CPU": 8.0, "memory": 16.0 * GIB}), ("b", {"CPU": 4.0, "GPU": 2.0, "memory": 64.0 * GIB})))
    assert nodes.slots == 2
    assert nodes.demands(p2pkit.Resources(), {}) == {"CPU": 1, "GPU": 1}
    assert nodes.demands(p2pkit.Resources(8, 0, 8), {}) == {"CPU": 8, "memory": 8 * GIB}
    with pytest.raises(p2pkit.DeviceError, match=r"executor\.gpus: .*asks for 1 cores, 3 GPUs.*b has 4 cores, 2 GPUs"):
        nodes.demands(p2pkit.Resources(gpus=3), {})
    with pytest.raises(p2pkit.DeviceError, match=r"^executor: .*a has 8 cores, 0 GPUs, 16 GiB of memory"):
        nodes.demands(p2pkit.Resources(cpus=8, gpus=1), {})
    with pytest.raises(p2pkit.DeviceError, match=r"resources\.fast: .*2 fast"):
        nodes.demands(p2pkit.Resources(gpus=0), {"fast": 2})


def test_more_than_the_cluster_has_is_refused_at_once():
    executor = p2pkit_ray.Ray()
    assert executor.workers == 2
    with pytest.raises(p2pkit.DeviceError, match=r"executor\.cpus: .*asks for 3 cores"):
        executor.require(p2pkit.Resources(cpus=3))
    with pytest.raises(p2pkit.DeviceError, match=r"executor\.cpus: .*asks for 3 cores"):
        executor.submit(piece("add", numbers=[1]), p2pkit.Resources(cpus=3), print)
    executor.close()


def test_an_address_where_nobody_listens_or_no_ray(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:{1}".format(*server.getsockname())
        answering = threading.Thread(target=_answer, args=(server,))
        answering.start()
        with pytest.raises(p2pkit.P2pkitError, match=f"address: no Ray cluster answers at {address}"):
            connect(address)
        answering.join()
    with pytest.raises(p2pkit.P2pkitError, match=f"address: no Ray cluster answers at {address}"):
        connect(address)


def _answer(server):
    with server.accept()[0] as asking:
        asking.sendall(b"HTTP/1.1 400 Bad Request\r\n")


def test_work_runs_in_the_folder_here_and_sees_no_gpu_that_it_did_not_ask_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    came = there.do(asdict(p2pkit.Work("inspect:isfunction")), str(tmp_path / "there"), 0, None)
    assert (came, Path.cwd(), os.environ["CUDA_VISIBLE_DEVICES"]) == ({"value": True}, tmp_path / "there", "")


def test_a_node_that_lacks_a_package_is_no_lost_worker(tmp_path, monkeypatch):
    (tmp_path / "here_only.py").write_text("def do(*given):\n    return {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(there, "do", importlib.import_module("here_only").do)
    executor = p2pkit_ray.Ray()
    came = executor.submit(piece("add", numbers=[1]), p2pkit.Resources(gpus=0), print).result(60)
    executor.close()
    assert "No module named 'here_only'" in came["problems"][0]["cause"]


def _model_and_images() -> Path:
    two_nodes.draw(Path("in"), 200)
    return p2pkit.train({**two_nodes.CONFIG, "schedule": {"epochs": 1}}).checkpoint


def test_two_nodes_translate_what_one_process_does(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = _model_and_images()
    Path("in/bad.png").write_bytes(b"no image")
    for out, on in (("one", ()), ("two", two_nodes.on(cluster))):
        with pytest.raises(p2pkit.DataError, match=r"bad\.png") as failed:
            two_nodes.command("translate", model, "in", "-o", out, *on)
        assert "200 of 201 images have been translated" in str(failed.value)
    assert two_nodes.same(Path("one"), Path("two"))


def test_a_sweep_outlives_a_node(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = two_nodes.six_points(cluster, epochs=3)
    assert [row["runs"] for row in rows] == ["1"] * 6
    assert len({row["label"] for row in rows}) == 6
    assert "Lost: Task failed because the node" in capsys.readouterr().err


@pytest.mark.long
def test_translations_outlive_a_node(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = _model_and_images()
    cluster.add_node(**two_nodes.NODE)
    two_nodes.command("translate", model, "in", "-o", "one")
    two_nodes.translated(cluster, model, "in", "two")
    assert two_nodes.same(Path("one"), Path("two"))
