"""Data sets of which each breaks the one rule that it is named after."""

import atexit
import random
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

import p2pkit

FOLDER = tempfile.TemporaryDirectory()
atexit.register(FOLDER.cleanup)
FILES = [Path(FOLDER.name, f"{number}.bin") for number in range(8)]
MANY = [Path(FOLDER.name, f"more-{number}.bin") for number in range(72)]
for number, file in enumerate((*FILES, *MANY)):
    file.write_bytes(bytes([number]) * (3 * 8 * 8))
SPEC = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 8, 8)


class Pairs:
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def image(self, index):
        return torch.frombuffer(bytearray(self.files[index].read_bytes()), dtype=torch.uint8).view(3, 8, 8)

    def __getitem__(self, index):
        image = self.image(index)
        return p2pkit.Pair(image, 255 - image, self.files[index].stem)


class Fine:
    """A data set with a fault."""

    spec = SPEC
    splits = ("train",)
    kind = Pairs

    def pairs(self, split):
        return self.kind(FILES)


class ListOfSplits(Fine):
    """A data set with a fault."""

    splits = ["train"]  # noqa: RUF012


class Eager(Fine):
    """A data set with a fault."""

    def __init__(self) -> None:
        for file in (*FILES, *MANY):
            file.read_bytes()


class PairsOfFloats(Pairs):
    def image(self, index):
        return super().image(index).float()


class Floats(Fine):
    """A data set with a fault."""

    kind = PairsOfFloats


class OtherSize(Fine):
    """A data set with a fault."""

    spec = replace(SPEC, height=16)


class SameInBoth(Fine):
    """A data set with a fault."""

    splits = ("train", "val")


class PairsOfOne(Pairs):
    def __getitem__(self, index):
        image = self.image(index)
        return p2pkit.Pair(torch.cat([255 - image, image]), image, self.files[index].stem)


class Leaks(Fine):
    """A data set with a fault."""

    spec = replace(SPEC, source=p2pkit.ImageSpec(6))
    kind = PairsOfOne


class PairsWithLambda(Pairs):
    def __init__(self, files):
        super().__init__(files)
        self.read = lambda file: file.read_bytes()


class Lambda(Fine):
    """A data set with a fault."""

    kind = PairsWithLambda


class Shuffled(Fine):
    """A data set with a fault."""

    def __init__(self) -> None:
        self.files = [FILES[number] for number in torch.randperm(len(FILES))]

    def pairs(self, split):
        return Pairs(self.files)


class PairsThatRemember(Pairs):
    def image(self, index):
        self.index = index
        time.sleep(0.002)
        return super().image(self.index)


class Remembers(Fine):
    """A data set with a fault."""

    kind = PairsThatRemember


class SameAt(Fine):
    """A data set with a fault."""

    def at(self, height, width):
        return self


class Fickle(Fine):
    """A data set with a fault."""

    def fingerprint(self, split):
        return f"{time.perf_counter()}"


class Stream:
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def chosen(self, part, parts, seed):
        files = self.files[:]
        if seed is not None:
            random.Random(seed).shuffle(files)
        return files[part::parts]

    def decoders(self, *, part=0, parts=1, seed=None, start=0):
        for file in self.chosen(part, parts, seed)[start:]:
            yield partial(decoded, file)


def decoded(file):
    return Pairs([file])[0]


class FineStream(Fine):
    """A data set without a fault, whose pairs are a stream."""

    kind = Stream


class WholeParts(Stream):
    def chosen(self, part, parts, seed):
        return super().chosen(0, 1, seed)


class Whole(Fine):
    """A data set with a fault."""

    kind = WholeParts


class UnequalParts(Stream):
    def chosen(self, part, parts, seed):
        files = super().chosen(0, 1, seed)
        return files if parts == 1 else [files[: -parts + 1], *([file] for file in files[-parts + 1 :])][part]


class Unequal(Fine):
    """A data set with a fault."""

    kind = UnequalParts


class UnshuffledStream(Stream):
    def chosen(self, part, parts, seed):
        return super().chosen(part, parts, None)


class Unshuffled(Fine):
    """A data set with a fault."""

    kind = UnshuffledStream


class FromTheFirst(Stream):
    def decoders(self, *, start=0, **wanted):
        return super().decoders(**wanted)


class NoStart(Fine):
    """A data set with a fault."""

    kind = FromTheFirst


@p2pkit.hookimpl
def p2pkit_datasets():
    yield p2pkit.Dataset("spec", ListOfSplits)
    yield p2pkit.Dataset("lazy", Eager)
    yield p2pkit.Dataset("pairs", OtherSize)
    yield p2pkit.Dataset("pairs_2", Floats)
    yield p2pkit.Dataset("splits_apart", SameInBoth)
    yield p2pkit.Dataset("no_leak", Leaks)
    yield p2pkit.Dataset("picklable", Lambda)
    yield p2pkit.Dataset("order", Shuffled)
    yield p2pkit.Dataset("threads", Remembers)
    yield p2pkit.Dataset("other_size", SameAt)
    yield p2pkit.Dataset("fingerprint", Fickle)
    yield p2pkit.Dataset("parts", Whole)
    yield p2pkit.Dataset("parts_2", Unequal)
    yield p2pkit.Dataset("shuffle", Unshuffled)
    yield p2pkit.Dataset("start", NoStart)
    yield p2pkit.Dataset("nothing", Fine)
    yield p2pkit.Dataset("nothing_2", FineStream)
