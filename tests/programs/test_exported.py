"""Exported folders."""

from __future__ import annotations

import json
import random
import sys

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit import DataError, DeviceError, ImageSpec, ModelError, PairSpec, Translator, VectorSpec
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.programs.exported import DESCRIPTION, Description, Program, load_exported, write_description


def description(**changes):
    images = PairSpec(ImageSpec(3), ImageSpec(1, high=65535.0), 8, 8)
    known = {"program": "onnx", "file": "model.onnx", "images": images, "multiple": 4, "size": None}
    return Description(**{**known, "stored": False, "layout": "NCHW", "precision": "fp32", **changes})


def negative(given):
    return -given["source"][:, :1]


def test_a_program_stands_for_a_network():
    images = torch.rand(2, 3, 5, 6) * 2 - 1
    assert torch.equal(Program(description(), negative)(images), -images[:, :1])


def test_stored_values_and_channels_last_are_those_of_the_program_alone():
    def double(named):
        given = named["source"]
        assert (given.dtype, given.shape) == (np.uint8, (1, 5, 6, 3))
        return given[..., :1].astype(np.uint16) * 257

    images = (torch.arange(90).view(1, 3, 5, 6) / 127.5) - 1
    made = Program(description(stored=True, layout="NHWC"), double)(images)
    torch.testing.assert_close(made, images[:, :1])


def test_what_stands_beside_a_source_is_given_by_name():
    extras = {"season": VectorSpec(3, "class"), "depth": ImageSpec(1), "age": VectorSpec(1)}
    images = PairSpec(ImageSpec(3), ImageSpec(1), 8, 8, extras=extras)
    seen = {}
    program = Program(
        description(images=images, extras=["depth", "season"], stored=True, layout="NHWC"),
        lambda given: seen.update(given) or given["depth"],
    )
    place = Placement(torch.device("cpu"), Precision("fp32", torch.device("cpu")), torch.contiguous_format)
    translator = Translator(program, images, place)
    source, depth = (np.full((4, 8, channels), 7, np.uint8) for channels in (3, 1))
    assert (translator.translate(source, depth=depth, season=2) == 7).all()
    assert {name: (held.shape, str(held.dtype)) for name, held in seen.items()} == {
        "source": ((1, 4, 8, 3), "uint8"), "depth": ((1, 4, 8, 1), "uint8"), "season": ((1,), "int64")
    }  # fmt: skip
    assert seen["season"].tolist() == [2]
    with pytest.raises(DataError, match="depth: is needed beside the source"):
        translator.translate(source, season=1)


def test_a_program_of_one_size_refuses_others():
    program = Program(description(size=(8, 8)), negative)
    assert program(torch.zeros(1, 3, 8, 8)).shape == (1, 1, 8, 8)
    with pytest.raises(ModelError, match="takes images of 8 x 8"):
        program(torch.zeros(1, 3, 8, 9))


def test_a_description_comes_back_and_a_damaged_one_is_named(tmp_path, monkeypatch):
    about = description(size=(8, 16))
    (tmp_path / DESCRIPTION).write_text(about.model_dump_json())
    assert Description.model_validate_json((tmp_path / DESCRIPTION).read_text()) == about
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'p2pkit\[export\]'"):
        load_exported(tmp_path)
    (tmp_path / DESCRIPTION).write_text("{}")
    with pytest.raises(ModelError, match="can't be used: program"):
        load_exported(tmp_path)


def test_what_an_exported_program_can_not_do_is_refused(tmp_path):
    (tmp_path / DESCRIPTION).write_text(description().model_dump_json())
    with pytest.raises(DeviceError, match="runs on a CPU here, not on cuda"):
        p2pkit.load(tmp_path, device="cuda")
    with pytest.raises(ModelError, match="export the model anew"):
        p2pkit.load(tmp_path, **{"evaluate.dropout": "on"})


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position // 8] ^= 1 << position % 8
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["model.onnx", "model.bin", DESCRIPTION])
def test_one_flipped_bit_is_found_before_anything_is_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr("p2pkit.programs.exported.runner", lambda *asked: negative)
    for file in ("model.onnx", "model.bin"):
        (tmp_path / file).write_bytes(bytes(range(256)))
    write_description(tmp_path, description())
    load_exported(tmp_path)
    good = (tmp_path / name).read_bytes()
    dice = random.Random(0)
    for _ in range(20):
        flip(tmp_path / name, dice.randrange(8 * len(good)))
        with pytest.raises(ModelError):
            load_exported(tmp_path)
        (tmp_path / name).write_bytes(good)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../model.onnx"),
        ("file", "/etc/passwd"),
        ("file", ".."),
        ("file", ""),
        ("files", {"../x": {"size": 1, "sha256": ""}}),
        ("multiple", 0),
        ("size", [0, 8]),
        ("size", [8]),
        ("images", {}),
        ("extras", ["season"]),
    ],
)
def test_a_description_that_no_export_writes_is_refused(tmp_path, monkeypatch, key, value):
    monkeypatch.setattr("p2pkit.programs.exported.runner", lambda *asked: pytest.fail("was run"))
    held = json.loads(description().model_dump_json()) | {key: value}
    (tmp_path / DESCRIPTION).write_text(json.dumps(held))
    with pytest.raises(ModelError, match=f"can't be used: {key}"):
        load_exported(tmp_path)
