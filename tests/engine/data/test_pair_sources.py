"""Which pairs make a batch, and that pairs that are kept and pairs that are not give the same."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from p2pkit.engine.data.pair_sources import BatchOrder, Cached, Uncached, collate, make_dataloader


@pytest.fixture(params=["cached", "uncached"])
def source(request, numbers):
    """Ten pairs of which the third and the eighth are left out."""
    pairs, kept = numbers(12), [index for index in range(12) if index not in (2, 7)]
    names = [str(index) for index in kept]
    if request.param == "uncached":
        return Uncached(names, pairs, kept)
    return Cached(names, *collate([pairs[index] for index in kept]))


def flat(batches):
    return list(chain.from_iterable(batches))


def taken(source, order):
    return [images[:, 0, 0, 0].tolist() for images, _ in source.epoch(order)]


def test_in_stored_order_nothing_is_left_out(source):
    assert len(source) == 10
    assert taken(source, BatchOrder(4)) == [[0, 1, 3, 4], [5, 6, 8, 9], [10, 11]]
    assert BatchOrder(4).length(10) == 3


def test_sources_and_targets_belong_together(source):
    for images, targets in source.epoch(BatchOrder(4, seed=3)):
        assert torch.equal(targets, images + 100)


def test_a_random_order_leaves_out_what_does_not_fill_a_batch(source):
    batches = taken(source, BatchOrder(4, seed=1))
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(set(flat(batches))) == 8
    assert BatchOrder(4, seed=1).length(10) == 2
    assert batches == taken(source, BatchOrder(4, seed=1))
    assert batches != taken(source, BatchOrder(4, seed=2))


@pytest.mark.parametrize("seed", [None, 1])
def test_skipped_batches_are_the_first_ones(source, seed):
    assert taken(source, BatchOrder(2, seed, skip=3)) == taken(source, BatchOrder(2, seed))[3:]
    assert taken(source, BatchOrder(2, seed, skip=9)) == []


@pytest.mark.parametrize("parts", [2, 3])
def test_each_process_has_its_part(source, parts):
    stored = [taken(source, BatchOrder(2, None, 0, part, parts)) for part in range(parts)]
    assert sorted(flat(flat(stored))) == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
    order = [BatchOrder(2, 5, 0, part, parts) for part in range(parts)]
    random = [taken(source, each) for each in order]
    assert {len(batches) for batches in random} == {each.length(10) for each in order} == {10 // (2 * parts)}
    assert len(set(flat(flat(random)))) == 2 * parts * (10 // (2 * parts))


def test_in_stored_order_the_parts_may_be_unequal():
    assert [BatchOrder(1, part=part, parts=3).length(4) for part in range(3)] == [2, 1, 1]
    assert BatchOrder(4, part=2, parts=3).length(2) == 0


def test_samples_are_spread_from_the_first_to_the_last(source):
    assert [name for name, _ in source.samples(4)] == ["0", "4", "8", "11"]
    assert [name for name, _ in source.samples(1)] == ["0"]
    assert [name for name, _ in source.samples(99)] == list(source.names)
    for name, (image, target) in source.samples(3):
        assert image.shape == (1, 1, 2, 2)
        assert image[0, 0, 0, 0].item() == int(name)
        assert target[0, 0, 0, 0].item() == int(name) + 100


def test_workers_take_nothing_from_the_runs_random_numbers(numbers):
    state = torch.get_rng_state()
    batches = list(make_dataloader(numbers(4), batch_size=2, collate_fn=collate))
    assert len(batches) == 2
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("skip", [0, 1])
def test_an_epoch_is_the_permutation_of_its_seed(source, skip):
    """Runs of before go on in the same order, wherever their pairs lie now."""
    order = torch.randperm(10, generator=torch.Generator().manual_seed(7))
    expected = [[int(source.names[i]) for i in order[at : at + 4]] for at in range(4 * skip, 8, 4)]
    assert taken(source, BatchOrder(4, seed=7, skip=skip)) == expected


@pytest.mark.gpu
@pytest.mark.numbers
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.float32])
def test_pairs_on_a_gpu_give_the_same_batches(kind):
    images = torch.arange(10).view(10, 1, 1, 1).expand(10, 3, 4, 4).to(kind)
    here = Cached([str(i) for i in range(10)], images, images + 1 if kind.is_floating_point else images)
    there = here.to(torch.device("cuda"))
    for mine, theirs in zip(there.epoch(BatchOrder(3, 5)), here.epoch(BatchOrder(3, 5)), strict=True):
        assert all(torch.equal(one.cpu(), other) for one, other in zip(mine, theirs, strict=True))
