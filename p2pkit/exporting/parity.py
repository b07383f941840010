"""How much a program's images differ from the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from p2pkit.api import prepared
from p2pkit.errors import P2pkitError
from p2pkit.exporting.graph import PortableGenerator
from p2pkit.images.convert import to_network, to_stored
from p2pkit.inference.exported import Run
from p2pkit.inference.translate import Translator
from p2pkit.registry import Registry
from p2pkit.types import PairStream

TOLERANCE = {"fp32": 1.0, "fp16": 8.0}
"""The largest difference that is taken, in steps of 255 to the target's range."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How much a program's fakes differ from the network's, in steps of 255 to the target's range.

    Args:
        most: The largest difference.
        mean: The mean difference.
        images: Of how many sources.
        of: Whose sources they were.
    """

    most: float
    mean: float
    images: int
    of: str

    def __str__(self) -> str:
        return f"at most {self.most:.3g} of 255, {self.mean:.2g} on average, over {self.images} {self.of}"


def held_out(checkpoint: Path, count: int, registry: Registry) -> list[Tensor]:
    """Return held-out sources of a model's own data; none where these are out of reach.

    Args:
        checkpoint: The model.
        count: How many, at most.
        registry: The names in force.

    Shape: (C, H, W) each, in [-1, 1].
    """
    try:
        _, checked = prepared(checkpoint, None, registry, {})
        pairs = checked.dataset.pairs(checked.split)
        if isinstance(pairs, PairStream):
            return []
        read = [pairs[index] for index in range(min(count, len(pairs)))]
    except (P2pkitError, OSError):
        return []
    return [to_network(pair.source[None], checked.spec.source)[0] for pair in read]


def measure(translator: Translator, graph: PortableGenerator, run: Run, sources: Sequence[Tensor], of: str) -> Parity:
    """Compare a program with the network that translates.

    Args:
        translator: The network.
        graph: What was exported.
        run: Runs the program.
        sources: Sources in [-1, 1], (C, H, W).
        of: Whose sources they are, in words.
    """
    images, apart = graph.images, []
    whole = graph.stored and images.target.kind == "labels"
    steps = 255 / (images.target.high - images.target.low) if graph.stored else 127.5
    for source in sources:
        given = to_stored(source[None], images.source) if graph.stored else source[None]
        given = given.permute(0, 2, 3, 1).contiguous() if graph.layout == "NHWC" else given
        made = torch.from_numpy(run(given.numpy()))
        made = made.permute(0, 3, 1, 2) if graph.layout == "NHWC" else made
        wanted = translator.network_values(source[None])
        wanted = to_stored(wanted, images.target) if graph.stored else wanted
        differ = (wanted != made).double() * 255 if whole else (wanted.double() - made.double()).abs() * steps
        apart.append(differ.flatten())
    together = torch.cat(apart)
    most = float(together.mean()) if whole else float(together.max())
    return Parity(most, float(together.mean()), len(sources), of)
