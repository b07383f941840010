"""Random parts of images at their own resolution."""

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit import ImageSpec, Pair, PairSpec, VectorSpec
from p2pkit.builtin.datasets import paired_folders
from p2pkit.engine.data.pair_sources import BatchOrder
from p2pkit.engine.data.parts import Parts, load_parts


def pairs(*sizes):
    def pair(name, height, width):
        rows = torch.arange(height).view(1, -1, 1).expand(1, height, width)
        columns = torch.arange(width).view(1, 1, -1).expand(1, height, width)
        return Pair(rows.to(torch.uint8).contiguous(), columns.to(torch.uint8).contiguous(), str(name))

    return [pair(name, *size) for name, size in enumerate(sizes)]


def parts(*sizes, scales=(1.0, 1.0), **options):
    spec = PairSpec(ImageSpec(1), ImageSpec(1), 8, 12)
    return load_parts(pairs(*sizes), spec, scales, **options)[0]


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_parts_are_cut_out_and_never_resized(cache):
    source = parts((50, 200), (90, 20), cache=cache)
    seen = [batch for seed in range(8) for batch in source.epoch(BatchOrder(2, seed))]
    for rows, columns in seen:
        assert rows.shape == columns.shape == (2, 1, 8, 12)
        assert (rows.int().diff(dim=2) == 1).all()
        assert (columns.int().diff(dim=3) == 1).all()
    assert len({int(rows[0, 0, 0, 0]) for rows, _ in seen}) > 3


def test_an_epochs_seed_settles_its_parts_and_evaluations_see_the_middle():
    source = parts((50, 100), (60, 90), (70, 80))
    once, again, other = (list(source.epoch(BatchOrder(1, seed))) for seed in (3, 3, 4))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(once, again, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(once, other, strict=True))
    resumed = list(source.epoch(BatchOrder(1, 3, skip=2)))
    assert torch.equal(resumed[0][1], once[2][1])
    (rows, columns), *_ = source.epoch(BatchOrder(1))
    assert (int(rows[0, 0, 0, 0]), int(columns[0, 0, 0, 0])) == (21, 44)


def test_small_images_are_enlarged_and_scales_are_random():
    (rows, _), *_ = parts((4, 30)).epoch(BatchOrder(1))
    assert rows.shape == (1, 1, 8, 12)
    source = parts((100, 100), scales=(0.25, 1.0))
    reach = {
        int(rows.int().max() - rows.int().min()) for seed in range(9) for rows, _ in source.epoch(BatchOrder(1, seed))
    }
    assert max(reach) > 2 * min(reach)
    assert isinstance(source, Parts)


def test_files_of_different_sizes_are_read_at_their_own(tmp_path):
    y, x = np.mgrid[:40, :130]
    disc = (((y - 20) ** 2 + (x - 65) ** 2) < 12**2).astype(np.uint8) * 255
    for side in ("source", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", disc)
        np.save(tmp_path / side / "b.npy", disc[:30, :90])
    found = paired_folders(root=tmp_path, size=32, held_out=0).native().pairs("train")
    assert [tuple(pair.target.shape) for pair in found] == [(1, 40, 130), (1, 30, 90)]
    config = {
        "dataset": {"use": "paired_folders", "params": {"root": str(tmp_path), "size": 16, "held_out": 0}},
        "augment": [{"use": "crop", "params": {"scale": [0.5, 1.0]}}],
        "generator": "unet_tiny",
        "losses": {"l1": 1},
        "schedule": {"epochs": 1},
        "engine": {"batch": 2},
        "evaluate": {"baselines": False},
        "tracking": {"folder": str(tmp_path / "runs"), "model": False, "system_metrics": False},
    }
    assert p2pkit.train(config).step == 1


def test_images_beside_a_pair_are_cut_alike():
    spec = PairSpec(ImageSpec(1), ImageSpec(1), 8, 12, extras={"map": ImageSpec(1), "age": VectorSpec(2)})
    held = [
        Pair(p.source, p.target, p.name, {"map": p.source, "age": torch.ones(2)}) for p in pairs((50, 40), (60, 70))
    ]
    source, _ = load_parts(held, spec, (1.0, 1.0))
    for batch in source.epoch(BatchOrder(2, 1)):
        assert torch.equal(batch[0], batch[3])
        assert batch[2].tolist() == [[1, 1], [1, 1]]


def test_parts_of_volumes():
    depth, rows, columns = torch.meshgrid(*(torch.arange(side) for side in (9, 20, 30)), indexing="ij")
    pair = Pair((10 * depth + rows)[None].to(torch.uint8), columns[None].to(torch.uint8), "one")
    spec = PairSpec(ImageSpec(1), ImageSpec(1), 8, 12, depth=4)
    source = load_parts([pair], spec, (1.0, 1.0))[0]
    seen = [batch for seed in range(8) for batch in source.epoch(BatchOrder(1, seed))]
    assert all(first.shape == (1, 1, 4, 8, 12) for first, _ in seen)
    assert all((first.int().diff(dim=2) == 10).all() and (first.int().diff(dim=3) == 1).all() for first, _ in seen)
    assert len({int(first[0, 0, 0, 0, 0]) for first, _ in seen}) > 3
