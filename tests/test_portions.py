"""Files that are translated in portions become what one process makes of them, each of them once."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

import p2pkit
from p2pkit import portions
from p2pkit.parts import ExecutorPart
from p2pkit.portions import split_executor, translate_on


class Unlucky:
    """Does work at once, but loses the first worker in the middle, and says what each piece was."""

    def __init__(self):
        self.workers = 3
        self.names = []

    def submit(self, work, resources, tell):
        self.names.append(work.name)
        future = Future()
        came = p2pkit.do_work(work, tell)
        if len(self.names) == 1:
            future.set_exception(ChildProcessError("killed"))
        else:
            future.set_result(came)
        return future

    def close(self):
        pass


@pytest.fixture(scope="module")
def model():
    return p2pkit.load("demo", device="cpu")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / "in" / "deep").mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "in" / ("deep" if number % 2 else "") / f"{number}.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    return tmp_path / "in"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


def test_each_file_is_translated_once_though_a_worker_was_lost(model, files, registry, tmp_path, monkeypatch):
    monkeypatch.setattr(portions, "_EACH", 1)
    with pytest.raises(p2pkit.DataError):
        model.translate_files(files, tmp_path / "one")
    executor = Unlucky()
    part = ExecutorPart("executor", p2pkit.Executor("unlucky", lambda: executor))
    given = {"device": "cpu", "registry": registry, "batch": 2}
    told = pytest.warns(RuntimeWarning, match="from file 1 on has lost its worker: ChildProcessError: killed")
    with told, pytest.raises(p2pkit.DataError) as caught:
        translate_on(part, model, "demo", [files], tmp_path / "many", **given)
    problems = caught.value.problems
    assert [problem.path for problem in problems] == [str(files / "bad.png"), ""]
    assert "6 of 7" in problems[1].cause
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "many")) == 6
    assert executor.names == [f"the portion from file {first} on" for first in (1, 4, 7, 1)]
    (files / "bad.png").unlink()
    (tmp_path / "many" / "0.png").unlink()
    written = translate_on(part, model, "demo", [files], tmp_path / "many", skip_existing=True, **given)
    assert written == [tmp_path / "many" / "0.png"]
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_overrides_say_where_work_runs_and_what_the_model_is_told(registry):
    overrides = {"executor.use": "local", "executor.params.processes": 2, "evaluate.dropout": "on"}
    part, others = split_executor(overrides, registry, "cpu")
    assert others == {"evaluate.dropout": "on"}
    assert (part.component.name, part.values["processes"], part.resources.gpus) == ("local", 2, 0.0)
    assert split_executor({"evaluate.dropout": "on"}, registry) == (None, others)
    with pytest.raises(p2pkit.ConfigError, match="local has no parameter 'process'"):
        split_executor({"executor.params.process": 2}, registry)


LOCAL = {"executor.use": "local", "executor.params.processes": 1}


@pytest.fixture
def stored(files):
    """Put the files to addresses in this process's memory; return the store."""
    import fsspec

    store = fsspec.filesystem("memory")
    store.put(str(files), "/case/in", recursive=True)
    yield store
    store.rm("/case", recursive=True)


def test_files_at_addresses_are_fetched_and_sent(model, files, stored, registry, tmp_path):
    with pytest.raises(p2pkit.DataError):
        model.translate_files(files, tmp_path / "one")
    part, _ = split_executor(LOCAL, registry, "cpu")
    given = {"device": "cpu", "registry": registry}
    with pytest.raises(p2pkit.DataError) as caught:
        translate_on(part, model, "demo", ["memory://case/in"], "memory://case/in/fakes", **given)
    assert [problem.path for problem in caught.value.problems] == ["memory://case/in/bad.png", ""]
    made = {path.removeprefix("/case/in/fakes/"): stored.cat(path) for path in stored.find("/case/in/fakes")}
    assert made == contents(tmp_path / "one")
    stored.rm("/case/in/bad.png")
    with pytest.raises(p2pkit.DataError, match=r"memory://case/in/fakes/0.png: exists"):
        translate_on(part, model, "demo", ["memory://case/in"], "memory://case/in/fakes", **given)
    stored.rm("/case/in/fakes/deep/1.png")
    address = (tmp_path / "one").as_uri()
    again = translate_on(
        part, model, "demo", ["memory://case/in"], "memory://case/in/fakes", skip_existing=True, **given
    )
    assert again == ["memory://case/in/fakes/deep/1.png"]
    assert translate_on(part, model, "demo", [f"{address}/0.png"], tmp_path / "two", **given) == [
        tmp_path / "two" / "0.png"
    ]


def test_addresses_that_can_t_be(model, files, stored, registry):
    part, _ = split_executor(LOCAL, registry, "cpu")
    for address, why in (
        ("memory://case/none", "there is no such file or folder"),
        ("nowhere://case", "can't be looked at"),
        ("memory://case/../in", "leads upward"),
    ):
        with pytest.raises(p2pkit.DataError, match=why) as caught:
            translate_on(part, model, "demo", [address], "memory://case/out", registry=registry)
        assert caught.value.problems[0].path == address
    for given, output in (
        ("s3://AKIA0:se/cret@bucket/in", "memory://case/out"),
        ("memory://case/in", "s3://k:secret@b"),
    ):
        with pytest.raises(p2pkit.DataError, match="holds a password") as caught:
            translate_on(part, model, "demo", [given], output, registry=registry)
        assert "cret" not in str(caught.value)
    with pytest.raises(p2pkit.DataError, match=r"would overwrite its own source memory://case/in/0\.png"):
        translate_on(part, model, "demo", ["memory://case/in/0.png"], "memory://case/in", registry=registry)
