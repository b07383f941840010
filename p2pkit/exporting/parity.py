"""How much a program's images differ from the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from p2pkit.exporting.graph import PortableGenerator
from p2pkit.images.convert import to_stored
from p2pkit.inference.exported import Run
from p2pkit.inference.translate import Translator

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
