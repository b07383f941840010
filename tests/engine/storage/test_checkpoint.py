"""Checkpoints on disk: whole or not there, and readable by whoever gets one."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from torch import nn

from p2pkit import ImageSpec, ModelError, PairSpec, StorageError
from p2pkit.engine.storage import checkpoint as room
from p2pkit.engine.storage.checkpoint import (
    Contents,
    keep_mode,
    load_discriminator,
    load_generator,
    load_statistics,
    read_config,
    save_statistics,
    tensor_shapes,
    write_checkpoint,
    write_config,
)
from p2pkit.engine.storage.loop_state import Progress
from p2pkit.engine.storage.state import read_state, verify

LABELS = ImageSpec(2, kind="labels", palette=((0, 0, 0), (255, 0, 0)), unlabelled=(255,))
IMAGES = PairSpec(LABELS, ImageSpec(3), 8, 16)


def network(seed=0, width=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, width, 1), nn.BatchNorm2d(width))


def contents(**changed):
    training = {f"discriminator.{name}": value for name, value in network(1).state_dict().items()}
    training |= {"random.cpu": torch.get_rng_state(), "discriminators.x": torch.zeros(1)}
    config = {"b": 1, "a": {"use": "unet"}, "evaluate": {"batch_norm": "running", "dropout": "off"}}
    given = {"generator": network().state_dict(), "training": training, "position": Progress(40, 2, 3)}
    return Contents(**{**given, "images": IMAGES, "config": config, **changed})


@pytest.fixture
def written(tmp_path):
    return write_checkpoint(tmp_path / "checkpoints" / "step-00000040", contents(state={"memory": {"waited": 2}}))


def test_a_checkpoint_holds_what_was_put_in(written):
    generator, discriminator = network(5), network(6)
    load_generator(written, generator)
    load_discriminator(written, discriminator)
    for found, seed in ((generator, 0), (discriminator, 1)):
        for name, value in network(seed).state_dict().items():
            assert torch.equal(found.state_dict()[name], value), name
    state = read_state(written)
    assert Progress(**state["position"]) == Progress(40, 2, 3)
    assert state["images"] == IMAGES
    assert state["memory"] == {"waited": 2}
    assert state["format"] == 1
    assert list(read_config(written)) == ["b", "a", "evaluate"]  # in the order in which it was written


def test_nothing_unfinished_lies_beside_it(written):
    assert [path.name for path in written.parent.iterdir()] == ["step-00000040"]
    assert not list(written.glob(".*"))


def test_one_that_is_there_is_replaced_whole(written):
    save_statistics({"mean": torch.zeros(1)}, written)
    write_checkpoint(written, contents(generator=network(9).state_dict()))
    found = network()
    load_generator(written, found)
    assert torch.equal(found[0].weight, network(9)[0].weight)
    with pytest.raises(ModelError):
        load_statistics(written)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path, monkeypatch, earlier):
    final = tmp_path / "step-00000040"
    if earlier:
        write_checkpoint(final, contents())

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(room, "write_config", full)
        with pytest.raises(StorageError, match="no space"):
            write_checkpoint(final, contents(generator=network(9).state_dict()))
    assert final.exists() == earlier
    if earlier:
        found = network(3)
        load_generator(final, found)
        assert torch.equal(found[0].weight, network()[0].weight)
    write_checkpoint(final, contents(generator=network(9).state_dict()))  # the remains are no hindrance
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000040"]


def test_tensors_of_any_layout_are_kept(tmp_path):
    odd = {"last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last), "turned": torch.rand(4, 3).t()}
    path = write_checkpoint(tmp_path / "a", contents(generator=odd))
    assert tensor_shapes(path)[0] == {"last": (2, 3, 4, 5), "turned": (3, 4)}
    assert torch.equal(room._tensors(path / "generator.safetensors")["turned"], odd["turned"])


def test_shapes_of_both_networks_are_known_without_reading(written):
    generator, discriminator = tensor_shapes(written)
    expected = {name: tuple(value.shape) for name, value in network().state_dict().items()}
    assert generator == discriminator == expected


def test_weights_of_another_network_are_refused(written):
    with pytest.raises(ModelError, match="the weights don't fit the network") as caught:
        load_generator(written, network(width=4))
    (problem,) = caught.value.problems
    assert problem.path == str(written)
    assert "another version of a plugin" in problem.remedy
    with pytest.raises(ModelError, match="don't fit"):
        load_discriminator(written, nn.Conv2d(2, 3, 1))


def test_statistics_are_there_where_they_were_gathered(written, tmp_path):
    with pytest.raises(ModelError, match="no statistics of batch norm") as caught:
        load_statistics(written)
    assert f"p2pkit evaluate {written} --modes --keep METRIC" in caught.value.problems[0].remedy
    statistics = {"1.running_mean": torch.arange(3.0)}
    path = write_checkpoint(tmp_path / "with", contents(statistics=statistics))
    assert torch.equal(load_statistics(path)["1.running_mean"], torch.arange(3.0))


def test_a_mode_becomes_the_checkpoints_own_and_nothing_else_changes(written):
    before = read_config(written)
    keep_mode(written, {"batch_norm": "batch"})
    assert read_config(written) == {**before, "evaluate": {"batch_norm": "batch", "dropout": "off"}}
    assert not list(written.glob(".*"))


def test_a_damaged_file_is_not_sound_because_a_mode_was_chosen(written):
    file = written / "training.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    keep_mode(written, {"batch_norm": "batch"})
    with pytest.raises(ModelError, match="is damaged"):
        verify(file)
    verify(written / "generator.safetensors")


def test_a_mode_that_could_not_be_written_leaves_the_checkpoint_as_it_was(written, monkeypatch):
    before = {file.name: file.read_bytes() for file in written.iterdir()}

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "write_state", stop)
    with pytest.raises(KeyboardInterrupt):
        keep_mode(written, {"batch_norm": "batch"})
    assert {file.name: file.read_bytes() for file in written.iterdir()} == before
    assert [path.name for path in written.parent.glob(".*")] == []


@pytest.mark.parametrize("name", ["generator.safetensors", "training.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_files_that_are_gone_or_damaged_are_named(written, name, damage):
    file = written / name
    whole = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(b"" if damage == "empty" else whole[:-50])
    load = load_generator if name.startswith("generator") else load_discriminator
    for act in (lambda: load(written, network()), lambda: tensor_shapes(written)):
        with pytest.raises(ModelError, match=r"can't be read|is damaged") as caught:
            act()
        assert caught.value.problems[0].path == str(file)


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "{}", '{"images": {"source": {}}}', '{"images": {"source": {"palette": 5}, "target": {}}}'],
)
def test_a_state_that_is_gone_or_damaged_is_named(written, text):
    (written / "state.json").unlink()
    if text is not None:
        (written / "state.json").write_text(text)
    with pytest.raises(ModelError, match=r"state\.json: can't be used"):
        read_state(written)


def test_a_state_from_before_unlabelled_values_has_none(written):
    state = json.loads((written / "state.json").read_text())
    del state["images"]["source"]["unlabelled"], state["digest"]
    (written / "state.json").write_text(json.dumps(state))
    assert read_state(written)["images"].source.unlabelled == ()


@pytest.mark.parametrize("text", [None, "a: [", "a: b: c"])
def test_a_config_that_is_gone_or_damaged_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"run\.yaml: (can't be read|not YAML)"):
        read_config(tmp_path)


def test_a_config_is_plain_yaml(tmp_path):
    write_config(tmp_path, {"tracking": {"tags": {"who": "mé"}}, "augment": []})
    assert yaml.safe_load((tmp_path / "run.yaml").read_text(encoding="utf-8")) == {
        "tracking": {"tags": {"who": "mé"}},
        "augment": [],
    }
