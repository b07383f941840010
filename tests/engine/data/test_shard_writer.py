"""Shards are whole or not there, and a run on them can be interrupted like any other."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from p2pkit import DataError, Pair, PairSpec, Problem, ShardIndex
from p2pkit.builtin.datasets.webdataset import webdataset
from p2pkit.config import load_config, resolve
from p2pkit.engine.check import check
from p2pkit.engine.data.shard_writer import write_shards
from p2pkit.engine.training.session import RunSession
from p2pkit.progress import Silent
from p2pkit.sharding import shard
from p2pkit.types import ImageSpec


class Broken:
    """Pairs of which some can't be read."""

    spec = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2)
    splits = ("train",)

    def pairs(self, split):
        return self

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if index in (1, 3):
            raise DataError(Problem(f"{index}.png", "is damaged"))
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        return Pair(image, image, str(index))


def test_what_can_not_be_read_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError) as caught:
        write_shards(Broken(), tmp_path / "out", splits=("train",))
    assert "1.png: is damaged" in str(caught.value)
    assert "3.png: is damaged" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_left_out(tmp_path):
    index, left_out = write_shards(Broken(), tmp_path / "out", splits=("train",), per_shard=2, unreadable="skip")
    assert [each.pairs for each in index.splits["train"]] == [2, 1]
    assert [problem.path for problem in left_out] == ["1.png", "3.png"]


def test_the_same_pairs_make_the_same_files(tmp_path, quiet):
    one = shard({"dataset": {"use": "shapes", "params": {"size": 8, "count": 5}}}, tmp_path / "a", registry=quiet)
    again = shard("shapes", tmp_path / "b", registry=quiet, **{"dataset.params": {"size": 8, "count": 5}})
    assert one == again == ShardIndex.parse((tmp_path / "a" / "shards.json").read_text())
    assert (tmp_path / "a" / "train-000000.tar").read_bytes() == (tmp_path / "b" / "train-000000.tar").read_bytes()
    other = shard("shapes", tmp_path / "c", registry=quiet, **{"dataset.params": {"size": 8, "count": 6}})
    assert other.fingerprints["train"] != one.fingerprints["train"]
    with pytest.raises(DataError, match="is there already"):
        shard("shapes", tmp_path / "c", registry=quiet)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_what_stands_beside_images_goes_along(seasonal, tmp_path, encoding):
    data = seasonal().dataset
    index, _ = write_shards(data, tmp_path / "out", splits=("train",), per_shard=3, encoding=encoding)
    read = webdataset(root=str(tmp_path / "out"), size=4)
    assert read.spec.extras == data.spec.extras
    assert webdataset(root=str(tmp_path / "out")).spec == data.spec
    for pair, decode in zip(data.pairs("train"), read.at(8, 8).pairs("train").decoders(), strict=True):
        again = decode()
        assert again.name == pair.name
        assert again.stored.keys() == pair.stored.keys()
        for name, held in pair.stored.items():
            assert torch.equal(again.stored[name], held), name
    assert next(read.pairs("train").decoders())().extras["depth"].shape == (1, 4, 4)
    changed = [replace(pair, extras={**pair.extras, "season": torch.tensor(1)}) for pair in data.pairs("train")]
    data.pairs = lambda split: changed
    other, _ = write_shards(data, tmp_path / "other", splits=("train",), encoding=encoding)
    assert other.fingerprints != index.fingerprints


def test_names_that_differ_by_case_alone_are_refused(tmp_path):
    extras = {"Depth": ImageSpec(1), "depth": ImageSpec(1)}
    broken = Broken()
    broken.spec = replace(Broken.spec, extras=extras)
    with pytest.raises(DataError, match="differ in their case alone: source, target, Depth, depth"):
        write_shards(broken, tmp_path / "out", splits=("train",))


KILLED = """
import os, signal
from p2pkit.builtin.datasets.shapes import shapes
from pathlib import Path
from p2pkit.engine.data.shard_writer import write_shards

def report(what, done, total):
    if done == 150:
        os.kill(os.getpid(), signal.SIGKILL)

write_shards(shapes(size=8, count=400), Path("out"), splits=("train",), per_shard=50, report=report)
"""


def test_a_killed_run_leaves_no_half_that_looks_whole(tmp_path, warm):
    done = warm.run([sys.executable, "-c", KILLED], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    assert not list(tmp_path.rglob("shards.json"))
    from p2pkit.builtin.datasets.shapes import shapes

    write_shards(shapes(size=8, count=4), tmp_path / "out", splits=("train",))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def streaming(tiny, quiet, tmp_path):
    """A run on shards of the tiny data."""
    shard(tiny, tmp_path / "shards", per_shard=5, registry=quiet)
    config = {**tiny, "dataset": {"use": "webdataset", "params": {"root": str(tmp_path / "shards"), "buffer": 3}}}

    def make(name, **overrides):
        (tmp_path / name).mkdir(exist_ok=True)
        checked = check(resolve(load_config(config, {"engine.ema": 0.9, **overrides}), quiet))
        return RunSession(checked, quiet.plugins, tmp_path / name, Silent())

    return make


def weights(outcome):
    return load_file(outcome.checkpoint / "training.safetensors")


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_in_an_epoch_and_resumed_equals_uninterrupted(streaming, signalled, workers):
    overrides = {"engine.workers": workers, "engine.batch": 2, "schedule.epochs": 1, "augment": ["flip"]}
    whole = streaming("whole", **overrides).train()
    stopped = streaming("cut", **overrides).train(on_step=signalled(3))
    assert stopped.progress.batches == 4
    resumed = streaming("cut", **overrides).train(stopped.checkpoint)
    assert resumed.progress == whole.progress
    assert whole.progress.step == 6
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name
    assert resumed.report.metrics == whole.report.metrics


def test_the_stored_order_scores_as_the_files_do(streaming, work):
    assert streaming("shards").train().report.baselines == work().train().report.baselines


def test_a_shard_that_is_missing_stops_the_run_before_it_begins(streaming, tmp_path):
    ready = streaming("run")
    (tmp_path / "shards" / "train-000001.tar").unlink()
    with pytest.raises(DataError, match=r"train-000001\.tar: there is no such file"):
        ready.train()
    skipping = streaming("skip", **{"dataset.unreadable": "skip", "engine.workers": 0, "engine.batch": 2})
    assert skipping.train().progress.step == 12
