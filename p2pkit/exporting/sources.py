"""The images of a model's own data by which its programs are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Tensor

from p2pkit.api import prepared
from p2pkit.engine.checked import ValidatedRun
from p2pkit.errors import ModelError, P2pkitError, Problem
from p2pkit.images.convert import to_network
from p2pkit.inference.companions import Input
from p2pkit.inference.translate import Translator
from p2pkit.programs.parity import noise
from p2pkit.registry import Registry
from p2pkit.types import Pair, PairStream
from p2pkit.untyped import Plain

_PAIRS, _MEASURED = 4, 32


def held_out(
    checkpoint: Path, count: int, registry: Registry, overrides: Plain | None = None
) -> list[tuple[Tensor, Pair]]:
    """Return held-out sources of a model's own data, with their pairs; none where these are out of reach.

    Args:
        checkpoint: The model.
        count: How many, at most.
        registry: The names in force.
        overrides: Keys to change.

    Shape: sources (C, H, W) each, in [-1, 1].
    """
    try:
        _, checked = prepared(checkpoint, None, registry, overrides or {})
        return _read(checked, checked.split, lambda held: range(min(count, held)))
    except (P2pkitError, OSError):
        return []


def _read(checked: ValidatedRun, split: str, places: Callable[[int], Iterable[int]]) -> list[tuple[Tensor, Pair]]:
    """Read the pairs of a split at some places of as many as it has; none of a stream."""
    pairs = checked.dataset.pairs(split)
    if isinstance(pairs, PairStream):
        return []
    read = [pairs[place] for place in places(len(pairs))]
    return [(to_network(pair.source[None], checked.spec.source)[0], pair) for pair in read]


def sources(
    checkpoint: Path, translator: Translator, registry: Registry, overrides: Plain | None = None
) -> tuple[list[Input], str]:
    """Return sources to compare by, and whose they are: of the model's own data, or noise where these are out of reach.

    Args:
        checkpoint: The model.
        translator: The network.
        registry: The names in force.
        overrides: Keys to change.
    """
    if own := held_out(checkpoint, _PAIRS, registry, overrides):
        return _with_pairs(translator, own), "sources of its data"
    return noise(translator, _PAIRS), "sources of noise, since its data are out of reach"


def training(checked: ValidatedRun, translator: Translator) -> list[Input]:
    """Return sources that a model was trained on, to measure by how large its values become.

    Args:
        checked: The model's run.
        translator: The network.

    Raises:
        ModelError: There are none, or they come in a stream.
    """
    found = _read(checked, "train", _spread) if "train" in checked.dataset.splits else []
    if not found:
        cause = "8 bits are chosen by training images, of which none can be had one by one here"
        raise ModelError(Problem("--precision", cause, "export in fp16"))
    return _with_pairs(translator, found)


def _spread(held: int) -> Iterable[int]:
    return range(0, held, -(-held // _MEASURED) or 1)


def _with_pairs(translator: Translator, own: Sequence[tuple[Tensor, Pair]]) -> list[Input]:
    return [translator.companions.of_pair(*each, index) for index, each in enumerate(own)]
