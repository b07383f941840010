"""What a checkpoint says of itself: every damage is found before anything is used."""

from __future__ import annotations

import json
import random

import pytest

from p2pkit import ModelError
from p2pkit.engine.storage.checkpoint import load_generator, read_config
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import GENERATOR, STATE, TRAINING, checkpoints
from p2pkit.engine.storage.state import read_state, verify

FILES = (GENERATOR, TRAINING, STATE, "run.yaml")


@pytest.fixture
def trained(work, tmp_path):
    return work(tmp_path / "run", **{"checkpoint.every": 1, "checkpoint.keep": 9}).train()


def flip(file, position):
    """Flip one bit."""
    data = bytearray(file.read_bytes())
    data[position // 8] ^= 1 << position % 8
    file.write_bytes(data)


def read_all(checkpoint):
    read_state(checkpoint)
    for name in FILES[:2]:
        verify(checkpoint / name)
    read_config(checkpoint)


def test_one_flipped_bit_anywhere_is_found(trained):
    dice = random.Random(0)
    for file in (trained.checkpoint / name for name in FILES):
        good = file.read_bytes()
        for _ in range(15):
            flip(file, dice.randrange(8 * len(good)))
            with pytest.raises(ModelError):
                read_all(trained.checkpoint)
            file.write_bytes(good)
    read_all(trained.checkpoint)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position": {"step": -1, "epoch": 0, "batches": 0}}, "negative"),
        ({"position": {"step": "3", "epoch": 0, "batches": 0}}, "position.step"),
        ({"position": []}, "position"),
        ({"images": None}, "images"),
        ({"format": 9}, "format"),
        ({"pairs_per_batch": 0}, "pairs_per_batch"),
        ({"memory": {"waited": "long"}}, "memory.waited"),
        ({"memory": {"health": {"rings": -1}}}, "memory.health.rings"),
        ({"memory": {"health": {"right": [0.5]}}}, "memory.health.right"),
        ({"best": {"metric": "l1", "value": float("nan")}}, "best.value"),
        ({"settled": [1]}, "settled"),
        ({"scaler": {"scale": {}}}, "scaler.scale"),
    ],
)
def test_what_no_checkpoint_holds_is_refused(trained, change, said):
    """Also where the digest is that of the changed text, or missing, as in checkpoints of before."""
    file = trained.checkpoint / STATE
    state = json.loads(file.read_text()) | change
    del state["digest"]
    file.write_text(json.dumps(state))
    with pytest.raises(ModelError, match=said):
        read_state(trained.checkpoint)


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "null", "[]", "\ud800".encode("utf-8", "surrogatepass"), '{"a": NaN']
)
def test_what_is_no_state_is_refused(trained, text):
    (trained.checkpoint / STATE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError):
        read_state(trained.checkpoint)


@pytest.mark.parametrize("low_high", [(float("nan"), 255.0), (3.0, 3.0), (9.0, -9.0)])
def test_images_without_a_range_are_refused(trained, low_high):
    file = trained.checkpoint / STATE
    state = json.loads(file.read_text())
    state["images"]["source"]["low"], state["images"]["source"]["high"] = low_high
    del state["digest"]
    file.write_text(json.dumps(state))
    with pytest.raises(ModelError, match=r"images|reach from"):
        read_state(trained.checkpoint)


def test_a_checkpoint_of_before_is_read_as_it_is(trained):
    file = trained.checkpoint / STATE
    state = json.loads(file.read_text())
    del state["digest"], state["files"]
    file.write_text(json.dumps(state))
    assert read_state(trained.checkpoint)["position"]["step"] == 6
    verify(trained.checkpoint / GENERATOR)


@pytest.mark.parametrize("name", FILES)
def test_the_newest_sound_one_is_used_and_the_damaged_one_named(trained, tmp_path, name):
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    flip(newest / name, 400)
    heard = []
    found = find_checkpoint(tmp_path / "run", training=True, note=heard.append)
    assert found.name == "step-00000003"
    assert len(heard) == 1
    assert str(newest / name) in heard[0]
    assert str(found) in heard[0]
    with pytest.raises(ModelError):  # one that was named is never replaced by another
        read_all(newest)


def test_a_folder_without_state_is_passed_over_aloud(trained, tmp_path):
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    (newest / STATE).unlink()
    heard = []
    assert find_checkpoint(tmp_path / "run", note=heard.append).name == "step-00000003"
    assert str(newest) in heard[0]
    with pytest.warns(UserWarning, match="is used instead"):
        find_checkpoint(tmp_path / "run")


def test_where_none_is_sound_all_are_named(trained, tmp_path):
    for path in checkpoints(tmp_path / "run" / "checkpoints"):
        flip(path / GENERATOR, 800)
    with pytest.raises(ModelError) as caught:
        find_checkpoint(tmp_path / "run", note=pytest.fail)
    assert len(caught.value.problems) == 2


def test_weights_that_are_no_numbers_are_refused(work, tmp_path):
    from safetensors.torch import load_file, save_file

    outcome = work(tmp_path / "run").train()
    tensors = load_file(outcome.checkpoint / GENERATOR)
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name][(0,) * tensors[name].ndim] = float("nan")
    alone = tmp_path / "alone"
    alone.mkdir()
    save_file(tensors, alone / GENERATOR)
    run = work(tmp_path / "other")
    generator = run.checked.generator.build(run.checked.spec)
    with pytest.raises(ModelError, match=rf"no finite numbers: {name}"):
        load_generator(alone, generator)
