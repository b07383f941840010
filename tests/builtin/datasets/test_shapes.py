"""Drawn pairs."""

import pickle
import time

import pytest
import torch

import p2pkit
from p2pkit import DataError, resize
from p2pkit.builtin.datasets import p2pkit_datasets, shapes
from p2pkit.builtin.datasets.shapes import CORNERS
from p2pkit.config import load_config, resolve


def test_drawings_depend_on_seed_split_and_index_alone():
    first, again, other = (shapes(seed=seed).pairs("train") for seed in (0, 0, 1))
    assert torch.equal(first[5].source, again[5].source)
    assert torch.equal(shapes(count=9).pairs("train")[5].target, first[5].target)
    assert not torch.equal(first[5].source, other[5].source)
    assert not torch.equal(first[5].source, first[6].source)
    assert not torch.equal(first[5].source, shapes().pairs("val")[5].source)
    assert torch.equal(pickle.loads(pickle.dumps(first))[5].source, first[5].source)


@pytest.mark.parametrize(("count", "held_out"), [(1, 8), (64, 8), (256, 32)])
def test_counts(count, held_out):
    dataset = shapes(count=count)
    assert isinstance(dataset, p2pkit.PairDataset)
    assert [len(dataset.pairs(split)) for split in dataset.splits] == [count, held_out]
    with pytest.raises(DataError, match="no split 'test'"):
        dataset.pairs("test")


def test_more_pairs_than_anybody_could_use_are_a_problem(quiet, tiny):
    (problem,) = resolve(load_config(tiny, {"dataset.params.count": 10**12}), quiet).problems
    assert problem.path == "dataset.params.count"


def test_sources_are_outlines_and_targets_are_coloured_by_shape():
    colours = {(255, 255, 255), *CORNERS.values()}
    seen = set()
    for pair in shapes(count=40).pairs("train"):
        assert set(pair.source.unique().tolist()) == {0, 255}
        found = {tuple(colour) for colour in pair.target.flatten(1).T.unique(dim=0).tolist()}
        assert found <= colours
        seen |= found
        line = (pair.source == 0).all(0)
        assert 0.02 < line.float().mean() < 0.4
        assert (pair.target != 255).any(0)[line].float().mean() > 0.6, "lines run along the shapes"
    assert seen == colours


def test_another_size_shows_the_same_drawing():
    small, large = (shapes(size=size).pairs("train")[3].target for size in (64, 128))
    assert (resize(large, 64, 64).float() - small.float()).abs().mean() < 6
    pair = shapes(size=(32, 48)).at(40, 60).pairs("train")[0]
    assert pair.source.shape == pair.target.shape == (3, 40, 60)


def test_drawing_is_fast():
    pairs = shapes().pairs("train")
    start = time.perf_counter()
    for index in range(100):
        pairs[index]
    assert time.perf_counter() - start < 1.0


def test_the_fingerprint_follows_the_parameters():
    assert shapes().fingerprint("train") == shapes().fingerprint("train")
    prints = {shapes(**params).fingerprint("train") for params in ({}, {"seed": 1}, {"size": 32}, {"count": 9})}
    assert len(prints) == 4


def test_every_data_set_is_offered_with_described_and_bounded_parameters():
    offered = {component.name: component for component in p2pkit_datasets()}
    files = ["side_by_side", "paired_folders", "manifest", "colorize", "edges", "labels"]
    assert list(offered) == [*files, "shapes", "emoji", "webdataset"]
    for component in offered.values():
        assert not component.takes_images
        assert component.summary
        fields = component.parameters.model_fields
        assert all(field.description and field.description.endswith(".") for field in fields.values())
    dataset = offered["shapes"].build(None, {"size": [16, 24], "count": 2})
    assert (dataset.spec.height, dataset.spec.width) == (16, 24)
