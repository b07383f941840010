"""Pairs that a table lists."""

import json

import numpy as np
import pytest
import torch

from p2pkit import ComponentError, DataError, VectorSpec
from p2pkit.builtin.datasets import manifest


def rows(path, *objects):
    path.write_text("\n".join(json.dumps(each) for each in objects) + "\n\n", encoding="utf-8")
    return path


def test_csv_with_splits_and_names(tmp_path, save):
    for name in ("in/a.png", "out/a.png", "in/b.png", "out/b.png"):
        save(name, size=(4, 4))
    table = tmp_path / "pairs.csv"
    absolute = tmp_path / "out" / "b.png"
    table.write_text(
        f"\ufeffname,source,target,split\nfirst,in/a.png,out/a.png,train\n,in/b.png,{absolute},val\n", encoding="utf-8"
    )
    dataset = manifest(path=table)
    assert dataset.splits == ("train", "val")
    assert [pair.name for split in dataset.splits for pair in dataset.pairs(split)] == ["first", "in/b"]
    pair = dataset.pairs("val")[0]
    assert torch.equal(pair.target, torch.from_numpy(save("out/b.png", size=(4, 4))).permute(2, 0, 1))


def test_a_file_for_training_and_for_evaluation_too_is_told(tmp_path, save):
    for name in ("a.png", "b.png", "c.png"):
        save(name, size=(4, 4))
    pairs = [("a", "b", "train"), ("c", "b", "val"), ("./c", "a", "test")]
    lines = [{"source": f"{s}.png", "target": f"{t}.png", "split": split} for s, t, split in pairs]
    val, test = manifest(path=rows(tmp_path / "pairs.jsonl", *lines)).notes
    assert f"{tmp_path}/b.png is in train and in val" in val
    assert f"{tmp_path}/a.png is in train and in test" in test
    assert manifest(path=rows(tmp_path / "pairs.jsonl", *lines[:1])).notes == ()


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("a.csv", "source,target\r\nin/ä b.png,out/ä b.png\r\n", "utf-16"),
        ("a.csv", "Source; Target ;Split\nin/ä b.png;out/ä b.png;Training\n", "utf-8"),
        ("a.tsv", "source\ttarget\nin/ä b.png\tout/ä b.png\n\n  \t\n", "utf-8"),
        ("a.csv", "source,target\n~/in/ä b.png,~/out/ä b.png\n", "utf-8"),
        ("a.csv", "source,target\nin\\ä b.png,out\\ä b.png \n", "utf-8"),
        ("a.jsonl", '{"source": ["in/a\\u0308 b.png"], "target": "out/a\\u0308 b.png"}\r\n', "utf-8-sig"),
    ],
)
def test_tables_of_other_programs_and_machines_mean_the_same(tmp_path, save, monkeypatch, name, text, encoding):
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in ("in/ä b.png", "out/ä b.png"):
        save(file, size=(4, 4))
    (tmp_path / name).write_bytes(text.encode(encoding))
    dataset = manifest(path=tmp_path / name, held_out=0)
    assert dataset.splits == ("train",)
    (pair,) = dataset.pairs("train")
    assert pair.name.endswith("in/ä b")


def test_a_table_that_is_no_utf_8_and_one_that_is_a_list_say_what_to_do(tmp_path):
    (tmp_path / "a.csv").write_bytes("source,target\nstraße.png,b.png\n".encode("latin-1"))
    refuse("byte 18 is no UTF-8", tmp_path / "a.csv")
    (tmp_path / "a.json").write_text('[{"source": "a.png", "target": "b.png"}]')
    refuse("is one list", tmp_path / "a.json")


def test_json_lines_stack_the_channels_of_several_files(tmp_path, save):
    red, depth, photo = save("x/r.png", channels=3), save("x/d.png", channels=1), save("x/y.png")
    table = rows(tmp_path / "pairs.jsonl", {"source": ["x/r.png", "x/d.png"], "target": "x/y.png"})
    dataset = manifest(path=table, held_out=0)
    pair = dataset.pairs("train")[0]
    assert dataset.spec.source.channels == 4
    assert torch.equal(pair.source, torch.from_numpy(np.dstack([red, depth])).permute(2, 0, 1))
    assert torch.equal(pair.target, torch.from_numpy(photo).permute(2, 0, 1))
    assert pair.name == "x/r"


def test_stacks_of_other_channels_are_named(tmp_path, save):
    for name in "abcd":
        save(f"{name}.png", channels=1)
    one, two = ({"source": source, "target": "d.png"} for source in (["a.png", "b.png"], ["b.png", "c.png", "a.png"]))
    pairs = manifest(path=rows(tmp_path / "pairs.jsonl", one, two), held_out=0).pairs("train")
    assert pairs[0].source.shape[0] == 2
    with pytest.raises(DataError, match="makes 3 channels with its companions, where 2 are wanted"):
        pairs[1]


def test_without_splits_names_are_held_out(tmp_path, save):
    save("a.png", size=(2, 2))
    listed = [{"source": "a.png", "target": "a.png", "name": str(index)} for index in range(50)]
    dataset = manifest(path=rows(tmp_path / "pairs.jsonl", *listed), held_out=0.2)
    train, val = (len(dataset.pairs(split)) for split in ("train", "val"))
    assert train + val == 50
    assert 2 <= val <= 20


def test_names_stay_inside_the_folder_of_the_samples(tmp_path, save):
    save("a.png", size=(2, 2))
    listed = [
        {"source": str(tmp_path / "a.png"), "target": "a.png"},
        {"source": "a.png", "target": "a.png", "name": "../../b"},
    ]
    names = [p.name for p in manifest(path=rows(tmp_path / "x.jsonl", *listed), held_out=0).pairs("train")]
    assert names[1] == "b"
    assert not names[0].startswith("/")


def refuse(match, path):
    with pytest.raises(ComponentError, match=match) as caught:
        manifest(path=path)
    assert caught.value.parameter == "path"
    return caught.value.cause


def test_a_missing_table_and_one_of_another_kind(tmp_path):
    refuse("No such file", tmp_path / "none.csv")
    (tmp_path / "pairs.txt").touch()
    refuse("no manifest by its suffix", tmp_path / "pairs.txt")


def test_an_empty_table(tmp_path):
    (tmp_path / "x.csv").write_text("source,target\n")
    refuse("lists no pairs", tmp_path / "x.csv")
    (tmp_path / "y.csv").touch()
    refuse("no column source and target; its first line is empty", tmp_path / "y.csv")


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("source,tarhet\na,b\n")
    refuse("no column target; its first line is source, tarhet", tmp_path / "x.csv")


def test_missing_files_are_named_with_their_lines(tmp_path, save):
    save("a.png", size=(2, 2))
    table = tmp_path / "x.csv"
    table.write_text("source,target\na.png,a.png\na.png,b.png\nc.png,\n")
    cause = refuse("3 wrong entries", table)
    assert "line 3: target b.png does not exist" in cause
    assert "line 4: source c.png does not exist" in cause
    assert "line 4: no target" in cause


@pytest.mark.parametrize(
    ("objects", "cause"),
    [
        ([{"source": "a.png", "target": "a.png"}] * 2, "line 2: the name a is that of line 1"),
        ([{"source": "a.png", "target": "a.png", "split": s, "name": s} for s in ("train", "")], "line 2: no split"),
        ([{"source": [], "target": "a.png"}], "line 1: no source"),
        ([{"source": 3, "target": "a.png"}], "line 1: no source"),
        ([{"source": "a.png", "target": "a.png", "split": 1}], "line 1: split is not text"),
        (["a.png"], "line 1: not an object"),
    ],
)
def test_wrong_rows_are_named(tmp_path, save, objects, cause):
    save("a.png", size=(2, 2))
    refuse(cause, rows(tmp_path / "x.jsonl", *objects))


def test_lines_that_are_no_json(tmp_path):
    (tmp_path / "x.jsonl").write_text('\n{"source": \n')
    refuse("line 2: not JSON", tmp_path / "x.jsonl")


def test_columns_stand_beside_the_images(tmp_path, save):
    photo, depth = save("x.png", size=(4, 4)), save("d.png", size=(8, 8), channels=1)
    seasons = ["winter", "summer", "winter"]
    lines = [
        {"source": "x.png", "target": "x.png", "name": str(n), "season": s, "depth": "d.png", "age": [n, 1]}
        for n, s in enumerate(seasons)
    ]
    beside = {"season": "class", "depth": "image", "age": "numbers"}
    dataset = manifest(path=rows(tmp_path / "x.jsonl", *lines), held_out=0, extras=beside)
    assert dataset.spec.extras["season"] == VectorSpec(2, "class", ("summer", "winter"))
    assert (dataset.spec.extras["depth"].channels, dataset.spec.extras["age"].size) == (1, 2)
    pairs = dataset.pairs("train")
    assert [int(pair.extras["season"]) for pair in pairs] == [1, 0, 1]
    assert [pair.extras["age"].tolist() for pair in pairs] == [[0, 1], [1, 1], [2, 1]]
    assert pairs[0].extras["depth"].shape == (1, 4, 4)
    assert dataset.at(8, 8).pairs("train")[0].extras["depth"].flatten().tolist() == depth.flatten().tolist()
    plain = manifest(path=tmp_path / "x.jsonl", held_out=0)
    assert plain.fingerprint("train") != dataset.fingerprint("train")
    assert photo.shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("column", "cells", "cause"),
    [
        ("class", ["a", ""], "line 3: no it"),
        ("numbers", ["1 2", "3"], "line 3: it has 1 numbers, and the first line 2"),
        ("numbers", ["1", "x"], "line 3: it is 'x', where numbers are wanted"),
        ("image", ["a.png", "b.png"], "line 3: b.png does not exist"),
    ],
)
def test_wrong_cells_are_named(tmp_path, save, column, cells, cause):
    save("a.png", size=(2, 2))
    table = tmp_path / "x.csv"
    table.write_text("source,target,name,it\n" + "".join(f"a.png,a.png,{n},{cell}\n" for n, cell in enumerate(cells)))
    with pytest.raises(ComponentError, match=cause) as caught:
        manifest(path=table, extras={"it": column})
    assert caught.value.parameter == "extras"


def test_columns_that_are_not_there_or_are_the_images_own(tmp_path):
    (tmp_path / "x.csv").write_text("source,target\na.png,a.png\n")
    for name, cause in (("season", "no column season"), ("target", "target can't stand beside")):
        with pytest.raises(ComponentError, match=cause):
            manifest(path=tmp_path / "x.csv", extras={name: "class"})


def test_a_column_may_say_what_counts(tmp_path, save):
    save("x.png", size=(4, 4)), save("valid.png", size=(4, 4), channels=1)
    lines = [{"source": "x.png", "target": "x.png", "name": str(n), "valid": "valid.png"} for n in range(2)]
    table = rows(tmp_path / "x.jsonl", *lines)
    assert manifest(path=table, held_out=0, extras={"valid": "image"}, mask="valid").spec.mask == "valid"
    for extras in ({}, {"valid": "class"}):
        with pytest.raises(ComponentError, match="the mask 'valid' has to be one of the extras") as caught:
            manifest(path=table, held_out=0, extras=extras, mask="valid")
        assert caught.value.parameter == "mask"
