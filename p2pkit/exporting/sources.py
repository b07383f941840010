"""The images of a model's own data by which its programs are tried."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from p2pkit.api import prepared
from p2pkit.errors import P2pkitError
from p2pkit.images.convert import to_network
from p2pkit.inference.companions import Input
from p2pkit.inference.translate import Translator
from p2pkit.programs.parity import noise
from p2pkit.registry import Registry
from p2pkit.types import Pair, PairStream

_PAIRS = 4


def held_out(checkpoint: Path, count: int, registry: Registry) -> list[tuple[Tensor, Pair]]:
    """Return held-out sources of a model's own data, with their pairs; none where these are out of reach.

    Args:
        checkpoint: The model.
        count: How many, at most.
        registry: The names in force.

    Shape: sources (C, H, W) each, in [-1, 1].
    """
    try:
        _, checked = prepared(checkpoint, None, registry, {})
        pairs = checked.dataset.pairs(checked.split)
        if isinstance(pairs, PairStream):
            return []
        read = [pairs[index] for index in range(min(count, len(pairs)))]
    except (P2pkitError, OSError):
        return []
    return [(to_network(pair.source[None], checked.spec.source)[0], pair) for pair in read]


def sources(checkpoint: Path, translator: Translator, registry: Registry) -> tuple[list[Input], str]:
    """Return sources to compare by, and whose they are: of the model's own data, or noise where these are out of reach.

    Args:
        checkpoint: The model.
        translator: The network.
        registry: The names in force.
    """
    if own := held_out(checkpoint, _PAIRS, registry):
        companions = translator.companions
        return [companions.of_pair(*each, index) for index, each in enumerate(own)], "sources of its data"
    return noise(translator, _PAIRS), "sources of noise, since its data are out of reach"
