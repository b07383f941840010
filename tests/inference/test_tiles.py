"""Tiles that overlap, and how they are blended."""

from __future__ import annotations

import itertools
import weakref

import pytest
import torch
from torch import nn

from p2pkit import DataError
from p2pkit.inference.tiles import WHOLE, Axis, Seam, Tiling, padded, translate_rows, whole_image_layers


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "multiple"), [(150, 64, 16, 4), (64, 64, 0, 8), (7, 16, 4, 2), (131, 32, 16, 1)]
)
def test_weights_sum_to_one_and_tiles_lie_on_the_networks_grid(size, tile, overlap, multiple):
    axis = Axis(size, multiple, Tiling(tile, overlap, always=True))
    total = torch.zeros(axis.padded)
    for start, weight in zip(axis.starts, axis.weights, strict=True):
        assert start % multiple == 0
        total[start : start + axis.tile] += weight
    torch.testing.assert_close(total, torch.ones(axis.padded))
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == axis.padded
    assert all(b - a <= axis.tile - overlap or multiple > overlap for a, b in itertools.pairwise(axis.starts))


@pytest.mark.parametrize("batch", [1, 3])
def test_what_looks_at_pixels_alone_is_the_same_in_tiles(batch):
    source = torch.rand(2, 75, 93, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tiling, seam = Tiling(32, 12, always=True), Seam()
    rows = translate_rows(
        lambda a, b: source[:, a:b], torch.neg, [Axis(75, 4, tiling), Axis(93, 4, tiling)], seam, batch=batch
    )
    torch.testing.assert_close(torch.cat(list(rows), 1), -source)
    assert seam.most < 1e-5


def test_rows_are_let_go_of_before_others_are_read_or_written():
    tiling, read = Tiling(32, 8, always=True), []

    def gone():
        return all(part() is None for part in read)

    def rows(first, last):
        assert gone()
        part = torch.zeros(1, last - first, 40)
        read.append(weakref.ref(part))
        return part

    assert all(gone() for _ in translate_rows(rows, torch.neg, [Axis(80, 1, tiling), Axis(40, 1, tiling)], Seam()))
    assert len(read) == 3


def test_the_seam_is_what_tiles_differ_by_where_they_overlap():
    source, tiling, seam = torch.zeros(1, 32, 56), Tiling(32, 8, always=True), Seam()
    levels = iter([0.0, 0.5])

    def run(tiles):
        return torch.full_like(tiles, next(levels))

    made = torch.cat(
        list(translate_rows(lambda a, b: source[:, a:b], run, [Axis(32, 1, tiling), Axis(56, 1, tiling)], seam)), 1
    )
    assert (seam.mean, seam.most) == (pytest.approx(0.5), pytest.approx(0.5))
    line = made[0, 0]
    assert line[0] == 0
    assert line[-1] == 0.5
    assert (line.diff() >= 0).all(), "a ramp, and no step"
    assert line.diff().max() < 0.1
    assert "differ by 64 of 255 on average, 63.8 at most" in str(seam)


def test_tiles_are_wanted_where_they_are_asked_for_or_an_image_is_large():
    assert not Tiling().wanted(1000, 1000)
    assert Tiling().wanted(WHOLE // 1000, 1001)
    assert Tiling.asked(64, None) == Tiling(64, 8, always=True)
    assert not Tiling.asked(0, None).wanted(WHOLE, 2)
    assert not Tiling.asked(None, 100).wanted(600, 600)
    for tile, overlap in ((64, 33), (64, -1), (-5, None)):
        with pytest.raises(DataError, match=r"overlap by|is no side"):
            Tiling.asked(tile, overlap)


def test_volumes_in_tiles_along_all_three_sides():
    source = torch.rand(1, 21, 30, 17, generator=torch.Generator().manual_seed(0)) * 2 - 1
    tiling, seam, sizes = Tiling(12, 4, always=True), Seam(), set()

    def run(tiles):
        sizes.add(tuple(tiles.shape[2:]))
        return -tiles

    axes = [Axis(side, 4, tiling) for side in source.shape[1:]]
    slices = translate_rows(lambda a, b: source[:, a:b], run, axes, seam, batch=3)
    torch.testing.assert_close(torch.cat(list(slices), 1), -source)
    assert sizes == {(12, 12, 12)}
    assert seam.most < 1e-5
    assert Tiling().along(3) == Tiling(64, 16)
    assert Tiling(96, 12, always=True).along(3).tile == 96


def test_layers_that_look_at_all_of_an_image_are_named():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.InstanceNorm2d(1), nn.BatchNorm2d(1))
    assert whole_image_layers(network, "running") == ["InstanceNorm2d"]
    assert whole_image_layers(network, "batch") == ["BatchNorm2d", "InstanceNorm2d"]


def test_padding_reflects_as_far_as_that_reaches():
    image = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert padded(image, (1, 5)).tolist() == [[[1, 2, 3, 2, 1]]]
    assert padded(image, (2, 8)).tolist() == [[[1, 2, 3, 2, 1, 1, 1, 1]] * 2]
