"""Rules for data sets."""

from __future__ import annotations

import hashlib
import operator
import pickle  # nosec B403
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, combinations, islice

import torch
from torch import Tensor

from p2pkit.engine.data.pair_check import hold_against
from p2pkit.errors import DataError
from p2pkit.images.convert import stored_type
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import ImageSpec, Pair, PairDataset, PairSpec, PairStream, optional
from p2pkit.untyped import Json

MOST = 16
"""Pairs of a split that are read; data sets may be large."""

_opened: list[set[str]] = []
_listening = False


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """Collect the files that Python opens meanwhile."""
    global _listening
    if not _listening:  # an audit hook can't be removed, so there is one that does nothing most of the time
        sys.addaudithook(_listen)
        _listening = True
    _opened.append(set())
    try:
        yield _opened[-1]
    finally:
        _opened.pop()


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened and not str(arguments[0]).endswith((".py", ".pyc")):
        for files in _opened:
            files.add(str(arguments[0]))


def some_pairs(dataset: PairDataset, split: str) -> list[Pair]:
    """Read the first pairs of a split."""
    return [decode() for decode in _firsts(dataset.pairs(split))]


def _firsts(pairs: Sequence[Pair] | PairStream) -> list[Callable[[], Pair]]:
    """Return a function for each of the first pairs, which decodes it."""
    if isinstance(pairs, PairStream):
        return list(islice(pairs.decoders(), MOST))
    return [partial(pairs.__getitem__, index) for index in range(min(len(pairs), MOST))]


@rule("dataset")
def spec(subject: Subject) -> None:
    """It states what its images are, and has a split `train` that is not empty."""
    dataset = subject.build()
    stated = getattr(dataset, "spec", None)
    require(isinstance(stated, PairSpec), "Give it an attribute `spec`, a p2pkit.PairSpec.")
    sides = *dataset.spec.size, dataset.spec.source.channels, dataset.spec.target.channels
    require(min(sides) >= 1, f"Its spec has sides or channels below 1: {dataset.spec}.")
    splits = getattr(dataset, "splits", None)
    sentence = "Give it an attribute `splits`, a tuple with 'train' in it."
    require(isinstance(splits, tuple) and "train" in splits, sentence)
    empty = [split for split in dataset.splits if not len(dataset.pairs(split))]
    require(not empty, f"There is nothing in {', '.join(empty)}: name only splits that have pairs.")


_SAMPLED = 16
"""Pairs that a data set may read to settle a scale that holds for all of them."""


@rule("dataset")
def lazy(subject: Subject) -> None:
    """It states what its images are without reading all of them."""
    with opened_files() as first:
        dataset = subject.build()
    with opened_files() as read:
        count = sum(len(some_pairs(dataset, split)) for split in dataset.splits)
    if len(read) < 4:
        raise Skip(f"reading {count} pairs opens {len(read)} files, too few to tell")
    allowed = max(len(read) // 2, 2 * _SAMPLED)
    sentence = f"Building it opens {len(first)} files, and {count} pairs are read from {len(read)}"
    require(len(first) <= allowed, f"{sentence}: read some of them, and the others when asked.")


@rule("dataset")
def pairs(subject: Subject) -> None:
    """Every pair is as stated: type, channels, values, one size for both images, and a name of its own."""
    dataset = subject.build()
    for split in dataset.splits:
        found = some_pairs(dataset, split)
        require(all(isinstance(pair, Pair) for pair in found), "Items of `pairs(split)` have to be p2pkit.Pair.")
        names = [pair.name for pair in found]
        require(all(names) and len(set(names)) == len(names), f"Give each pair of {split} a name of its own.")
        for pair in found:
            if pair.extras or dataset.spec.given:
                _check_extras(pair, dataset.spec)
            _check(pair.source, dataset.spec.source, dataset.spec, f"the source of {split} {pair.name}")
            _check(pair.target, dataset.spec.target, dataset.spec, f"the target of {split} {pair.name}")


@rule("dataset")
def splits_apart(subject: Subject) -> None:
    """Its splits hold other pairs: scores of pairs that a network has learned from tell nothing."""
    dataset = subject.build()
    looked = {split: {_digest(pair) for pair in some_pairs(dataset, split)} for split in dataset.splits}
    for one, other in combinations(looked, 2):
        both = looked[one] & looked[other]
        sentence = f"Of the first pairs of {other}, {len(both)} are in {one} too: leave each pair to one split."
        require(2 * len(both) <= min(len(looked[one]), len(looked[other])), sentence)


@rule("dataset")
def no_leak(subject: Subject) -> None:
    """Its sources do not hold the target, which a network would copy."""
    found = some_pairs(subject.build(), "train")
    held = [_leaks(pair) for pair in found]
    sentence = "In every pair each plane of the target is one of the source's: leave it out of the source."
    require(not all(held), sentence)


def _images_of(pair: Pair) -> tuple[Tensor, Tensor]:
    if not (isinstance(pair.source, Tensor) and isinstance(pair.target, Tensor)):
        raise Skip("its pairs hold no tensors, see the rule `pairs`")
    return pair.source, pair.target


def _leaks(pair: Pair) -> bool:
    source, target = _images_of(pair)
    alike = source.dtype == target.dtype and source.shape[1:] == target.shape[1:]
    return alike and all(any(torch.equal(plane, given) for given in source) for plane in target)


def _digest(pair: Pair) -> bytes:
    digest = hashlib.sha256()
    for image in _images_of(pair):
        digest.update(f"{image.dtype} {image.shape}".encode())
        digest.update(image.contiguous().numpy().tobytes())
    return digest.digest()


def _check_extras(pair: Pair, images: PairSpec) -> None:
    try:
        hold_against(images, lambda: pair)
    except DataError as error:
        raise AssertionError(f"{error.problems[0]}") from None


def _check(image: Tensor, stated: ImageSpec, images: PairSpec, what: str) -> None:
    planes = 1 if stated.kind == "labels" else stated.channels
    wanted = planes, *images.size
    require(image.shape == wanted, f"{what} has shape {tuple(image.shape)}, and by the spec {wanted}.".capitalize())
    kind = stored_type(stated)
    require(image.dtype == kind, f"{what} is {image.dtype}, and by the spec {kind}: use p2pkit.conform.".capitalize())
    low, high = (0, stated.channels - 1) if stated.kind == "labels" else (stated.low, stated.high)
    least, most = (float(value) for value in image.to(torch.float64).aminmax())
    sentence = f"{what} has values from {least:g} to {most:g}, and by the spec from {low:g} to {high:g}."
    require(low <= least and most <= high, sentence.capitalize())


@rule("dataset")
def picklable(subject: Subject) -> None:
    """Its pairs can be sent to the processes that decode them."""
    dataset = subject.build()
    found = dataset.pairs("train")
    try:
        copied = pickle.loads(pickle.dumps(found))  # its own  # nosec B301
    except Exception as error:
        remedy = "keep paths and not open files, and functions of a module and not lambdas"
        raise AssertionError(f"Its pairs can't be pickled ({error}): {remedy}.") from error
    one, other = (decoders[0]() for decoders in map(_firsts, (copied, found)))
    require(_equal([one], [other]), "A pickled copy of its pairs has other images.")


@rule("dataset")
def order(subject: Subject) -> None:
    """Names, order and images are the same whenever they are asked for."""
    first, second = subject.build(seed=1), subject.build(seed=2)
    for split in first.splits:
        one, other = some_pairs(first, split), some_pairs(second, split)
        sentence = f"Built twice, {split} has its pairs in another order: sort names, and draw from a seed of your own."
        require([pair.name for pair in one] == [pair.name for pair in other], sentence)
        again = some_pairs(first, split)
        sentence = f"Read twice, a pair of {split} has other images: leave random changes to augmentations."
        require(_equal(one, other) and _equal(one, again), sentence)


@rule("dataset")
def threads(subject: Subject) -> None:
    """Several threads can read at a time."""
    dataset = subject.build()
    decoders = _firsts(dataset.pairs("train"))
    alone = some_pairs(dataset, "train") * 2
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda decode: decode(), decoders * 2))
    sentence = "Read by several threads at a time, pairs come out wrong: keep nothing of one item in the object."
    require(_equal(together, alone), sentence)


@rule("dataset")
def other_size(subject: Subject) -> None:
    """If it has a method `at`, that gives the same pairs at another size."""
    dataset = subject.build()
    if optional.at(dataset) is None:
        raise Skip("it has no method `at`")
    *depth, height, width = dataset.spec.size
    size = *(side + 2 for side in depth), height + 8, width + 4
    other = dataset.at(*size)
    sentence = f"Its at{size} states {other.spec.size}, or changes more of the spec than that."
    require(other.spec.size == size and other.spec.source == dataset.spec.source, sentence)
    pair, same = some_pairs(other, "train")[0], some_pairs(dataset, "train")[0]
    require(pair.name == same.name, f"Its at{size} gives other pairs, or another order.")
    found = {tuple(image.shape[1:]) for image in (pair.source, pair.target)}
    kept = optional.own_shapes(other) and all(all(map(operator.ge, sides, size)) for sides in found) and len(found) == 1
    require(kept or found == {size}, f"Its at{size} gives images of {sorted(found)}.")


@rule("dataset")
def fingerprint(subject: Subject) -> None:
    """If it has a method `fingerprint`, that gives one short text for the same data."""
    first, second = subject.build(seed=1), subject.build(seed=2)
    if optional.fingerprint(first) is optional.fingerprint.default:
        raise Skip("it has no method `fingerprint`")
    one, other = first.fingerprint("train"), second.fingerprint("train")
    require(
        isinstance(one, str) and 0 < len(one) <= 64, "Its fingerprint(split) has to be a text of 1 to 64 characters."
    )
    require(one == other, "Its fingerprint(split) differs for the same data: leave out times of access and object ids.")


@rule("dataset")
def parts(subject: Subject) -> None:
    """If its pairs are a stream, its parts together hold each pair once, and are of one length or differ by one."""
    stream, count = _stream(subject)
    for number in (2, 3):
        read = [_names(stream, number * MOST, part=part, parts=number) for part in range(number)]
        lengths = [len(part) for part in read]
        if count <= number * MOST:
            together, whole = sorted(chain(*read)), sorted(_names(stream, count + 1))
            require(together == whole, f"Read in {number} parts, a pair is missing or comes twice.")
            require(len(whole) == count, f"It has a length of {count}, and gives {len(whole)} pairs.")
            require(
                max(lengths) - min(lengths) <= 1,
                f"Of its {number} parts one holds {min(lengths)} and one {max(lengths)} pairs.",
            )
        require(len(set(chain(*read))) == sum(lengths), f"Two of its {number} parts hold the same pair.")


@rule("dataset")
def shuffle(subject: Subject) -> None:
    """If its pairs are a stream, a seed settles a random order of it."""
    stream, count = _stream(subject)
    one, again, other = (_names(stream, count, seed=seed) for seed in (1, 1, 2))
    require(one == again, "Read twice with the same seed, its pairs come in another order.")
    if count >= MOST / 2:
        require(one != other, "Read with another seed, its pairs come in the same order.")


@rule("dataset")
def start(subject: Subject) -> None:
    """If its pairs are a stream, it can begin at any position, in every order and part."""
    stream, count = _stream(subject)
    for seed, number in ((None, 1), (3, 1), (3, 2)):
        whole = _names(stream, count, seed=seed, parts=number)
        for position in (1, len(whole) // 2, len(whole)):
            rest = _names(stream, len(whole) - position, seed=seed, parts=number, start=position)
            sentence = f"Begun at position {position}, it gives other pairs than those that follow there in the whole."
            require(rest == whole[position:], sentence)


def _stream(subject: Subject) -> tuple[PairStream, int]:
    found = subject.build().pairs("train")
    if not isinstance(found, PairStream):
        raise Skip("its pairs are a sequence")
    return found, min(len(found), 8 * MOST)


def _names(stream: PairStream, most: int, **wanted: Json) -> list[str]:
    return [decode().name for decode in islice(stream.decoders(**wanted), most)]


def _equal(one: list[Pair], other: list[Pair]) -> bool:
    return all(
        torch.equal(a.source, b.source) and torch.equal(a.target, b.target) for a, b in zip(one, other, strict=True)
    )
