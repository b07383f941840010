"""Batches on the device: in which order, converted and augmented."""

from __future__ import annotations

import time

import pytest
import torch

from p2pkit import DataError, ImageSpec, Pair, PairSpec, VectorSpec
from p2pkit.engine.data.decode import load_split
from p2pkit.engine.data.loader import Loader
from p2pkit.engine.data.pair_sources import Cached, Uncached
from p2pkit.engine.data.workers import Workers
from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision

CPU = torch.device("cpu")
PLACE = Placement(CPU, Precision("fp32", CPU), torch.channels_last)
IMAGES = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2)


def loader(stored, **options):
    return Loader(stored, IMAGES, batch=4, place=PLACE, **options)


def indices(batches):
    return [((batch.source[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for batch in batches]


@pytest.mark.parametrize(("cache", "kind"), [("memory", Cached), ("disk", Cached), ("off", Uncached)])
def test_all_caches_give_the_same_batches(numbers, cache, kind):
    stored, left_out = load_split(numbers(10), cache=cache)
    assert isinstance(stored, kind)
    assert left_out == []
    batches = list(loader(stored).epoch())
    assert indices(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[0].target[0, 0, 0, 0].item() == pytest.approx(100 / 127.5 - 1)
    assert batches[0].source.is_contiguous(memory_format=torch.channels_last)


def test_workers_decode_where_nothing_is_kept(numbers):
    stored, _ = load_split(numbers(8), cache="off", workers=Workers(1))
    assert indices(loader(stored).epoch()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_cached_pairs_are_decoded_once(numbers):
    pairs = numbers(6)
    stored, _ = load_split(pairs)
    for _ in range(3):
        list(loader(stored).epoch())
    assert pairs.reads == 6


def test_order_is_settled_by_seed_and_epoch(numbers):
    stored, _ = load_split(numbers(10))
    first = indices(loader(stored, shuffle=True, seed=1).epoch(0))
    assert [len(batch) for batch in first] == [4, 4]
    assert first == indices(loader(stored, shuffle=True, seed=1).epoch(0))
    assert first != indices(loader(stored, shuffle=True, seed=1).epoch(1))
    assert first != indices(loader(stored, shuffle=True, seed=2).epoch(0))
    assert first[1:] == indices(loader(stored, shuffle=True, seed=1).epoch(0, skip=1))


def test_augmentations_run_in_order_on_network_images(numbers):
    stored, _ = load_split(numbers(4))
    steps = [lambda s, t: (s + 1, t), lambda s, t: (s * 2, t)]
    (batch,) = loader(stored, augmentations=steps).epoch()
    plain = next(iter(loader(stored).epoch()))
    torch.testing.assert_close(batch.source, (plain.source + 1) * 2)
    torch.testing.assert_close(batch.target, plain.target)


def test_only_copies_to_a_gpu_are_not_waited_for(numbers, monkeypatch):
    """Elsewhere they start from memory that is not pinned, and may be read before they have ended."""
    stored, _ = load_split(numbers(2))
    asked = []
    move = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda image, *args, **options: asked.append(options) or move(image, *args))
    loader(stored)._moved((torch.zeros(1), torch.zeros(1)))
    assert asked == [{"non_blocking": False}] * 2


def test_all_epochs_are_copied_on_one_stream(numbers, monkeypatch):
    """torch keeps freed memory for the stream that it was made on: new streams would each keep their own."""
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: object())
    stored, _ = load_split(numbers(2))
    batches = loader(stored)
    assert batches._stream is batches._stream


def test_labels_become_planes(numbers):
    stored, _ = load_split(numbers(3))
    images = PairSpec(ImageSpec(3, kind="labels"), ImageSpec(1), 2, 2)
    (batch,) = Loader(stored, images, batch=3, place=PLACE).epoch()
    assert batch.source.shape == (3, 3, 2, 2)
    assert batch.source.argmax(1)[:, 0, 0].tolist() == [0, 1, 2]


def test_who_waits_is_told_how_long(numbers):
    stored, _ = load_split(numbers(8))
    slow = [lambda s, t: (time.sleep(0.02), (s, t))[1]]
    waited = [batch.waited for batch in loader(stored, augmentations=slow).epoch()]
    assert all(seconds >= 0.02 for seconds in waited)


@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_share_a_split_without_overlap(numbers, shuffle):
    stored, _ = load_split(numbers(16))
    parts = [loader(stored, shuffle=shuffle, part=part, parts=2) for part in (0, 1)]
    seen = [[index for batch in indices(part.epoch()) for index in batch] for part in parts]
    assert [len(part) for part in parts] == [2, 2]
    assert sorted(seen[0] + seen[1]) == list(range(16))


def test_samples_are_spread_and_always_the_same(numbers):
    stored, _ = load_split(numbers(9))
    taken = [[name for name, _ in loader(stored, shuffle=True, seed=seed).samples(3)] for seed in (0, 1)]
    assert taken == [["0", "4", "8"]] * 2
    (_, batch), *_ = loader(stored).samples(1)
    source, target = batch.tensors
    assert source.shape == target.shape == (1, 1, 2, 2)
    assert source[0, 0, 0, 0] == -1


def noise(stored, batch=4, epoch=0, skip=0, **options):
    images = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2, extras={"z": VectorSpec(3, "noise")})
    batches = list(Loader(stored, images, batch=batch, place=PLACE, **options).epoch(epoch, skip))
    return {index: z for each in batches for index, z in zip(*indices([each]), each.extras["z"].tolist(), strict=True)}


def test_noise_is_that_of_a_pairs_place_in_the_epoch_whatever_stands_beside_it(numbers):
    stored, _ = load_split(numbers(12))
    whole = noise(stored)
    assert len({tuple(each) for each in whole.values()}) == 12
    assert whole == noise(stored, batch=5)
    assert whole == noise(stored, part=0, parts=2) | noise(stored, part=1, parts=2)
    drawn = {"shuffle": True, "seed": 3}
    shuffled = noise(stored, epoch=1, **drawn)
    assert shuffled == noise(stored, epoch=1, **drawn)
    assert noise(stored, epoch=1, skip=2, **drawn).items() < shuffled.items()
    assert shuffled.keys() == noise(stored, epoch=2, **drawn).keys()
    assert shuffled != noise(stored, epoch=2, **drawn)
    halves = [noise(stored, batch=2, epoch=1, part=part, parts=2, **drawn) for part in (0, 1)]
    assert halves[0] | halves[1] == noise(stored, batch=2, epoch=1, **drawn)


def test_a_batch_holds_what_pairs_hold_in_the_order_of_names():
    extras = {"season": VectorSpec(2, "class"), "map": ImageSpec(1), "z": VectorSpec(3, "noise")}
    images = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2, extras=extras)
    image = torch.zeros(1, 2, 2, dtype=torch.uint8)
    pairs = [Pair(image, image, str(n), {"season": torch.tensor(n), "map": image + n}) for n in range(2)]
    for cache in ("memory", "off"):
        stored, _ = load_split(pairs, images=images, cache=cache)
        (batch,) = Loader(stored, images, batch=2, place=PLACE, augmentations=[lambda *each: each]).epoch()
        assert [tuple(each.shape) for each in batch.tensors[2:]] == [(2, 1, 2, 2), (2, 2), (2, 3)]
        assert batch.extras["season"].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("extras", "cause"),
    [
        ({}, "its extras are none, where age, season is stated"),
        ({"season": torch.tensor(2), "age": torch.ones(2)}, "its season is 2, where a class from 0 to 1 is stated"),
        ({"season": torch.tensor(1), "age": torch.ones(3)}, r"its age is of shape \[3\], where \[2\] is stated"),
        ({"season": torch.tensor(1), "age": torch.tensor([1, torch.nan])}, "its age has values that are not finite"),
        ({"season": 1, "age": torch.ones(2)}, "its season is a int and not a torch.Tensor"),
    ],
)
def test_pairs_hold_what_their_spec_says(extras, cause):
    beside = {"season": VectorSpec(2, "class"), "age": VectorSpec(2)}
    images = PairSpec(ImageSpec(1), ImageSpec(1), 2, 2, extras=beside)
    image = torch.zeros(1, 2, 2, dtype=torch.uint8)
    with pytest.raises(DataError, match=cause):
        load_split([Pair(image, image, "first", extras)], images=images)


def test_a_size_of_its_own_is_that_of_what_was_augmented(numbers):
    stored, _ = load_split(numbers(3))
    images = PairSpec(ImageSpec(3, kind="labels"), ImageSpec(1), 2, 2)
    mirrored = [lambda source, target: (source.flip(3), target.flip(3))]
    plain = Loader(stored, images, batch=3, place=PLACE, augmentations=mirrored)
    assert plain.sized((2, 2)) is plain
    other = plain.sized((1, 4))
    (batch,), (whole,) = other.epoch(), plain.epoch()
    assert (whole.source.shape, batch.source.shape, batch.target.shape) == ((3, 3, 2, 2), (3, 3, 1, 4), (3, 1, 1, 4))
    assert set(batch.source.unique().tolist()) == {-1, 1}  # classes have nothing between them
    assert batch.source.argmax(1)[:, 0, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(batch.target.mean((1, 2, 3)), whole.target.mean((1, 2, 3)))
