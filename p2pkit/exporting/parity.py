"""How much a program's images differ from the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from p2pkit.api import prepared
from p2pkit.errors import P2pkitError
from p2pkit.extras.values import some
from p2pkit.images.convert import to_network
from p2pkit.inference.companions import Input, stacked
from p2pkit.inference.exported import Run
from p2pkit.inference.forms import Form
from p2pkit.inference.translate import Translator
from p2pkit.registry import Registry
from p2pkit.types import Pair, PairStream

TOLERANCE = {"fp32": 1.0, "fp16": 8.0}
"""The largest difference that is taken, in steps of 255 to the target's range."""
_PAIRS = 4


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
    companions, images = translator.companions, translator.images
    if own := held_out(checkpoint, _PAIRS, registry):
        return [companions.of_pair(*each, index) for index, each in enumerate(own)], "sources of its data"
    dice = torch.Generator().manual_seed(0)
    made = {name: some(spec, images, _PAIRS, dice) for name, spec in translator.inputs.items()}
    planes, vectors = companions.together(made)
    inputs = [Input(planes[index], {name: held[index] for name, held in vectors.items()}) for index in range(_PAIRS)]
    return inputs, "sources of noise, since its data are out of reach"


def measure(translator: Translator, run: Run, form: Form, sources: Sequence[Input], of: str) -> Parity:
    """Compare a program with the network that translates.

    Args:
        translator: The network.
        run: Runs the program.
        form: The form in which it takes and gives images.
        sources: Sources, with what stands beside them.
        of: Whose sources they are, in words.
    """
    target, apart = translator.images.target, []
    whole = form.stored and target.kind == "labels"
    steps = 255 / (target.high - target.low) if form.stored else 127.5
    for each in sources:
        planes, vectors = stacked([each])
        source, extras = translator.companions.apart(planes, vectors)
        given = {"source": source, **extras}
        made = torch.from_numpy(
            run({name: form.of(given[name], spec).numpy() for name, spec in translator.inputs.items()})
        )
        wanted = form.of(translator.network_values(planes, vectors), target)
        differ = (wanted != made).double() * 255 if whole else (wanted.double() - made.double()).abs() * steps
        apart.append(differ.flatten())
    together = torch.cat(apart)
    most = float(together.mean()) if whole else float(together.max())
    return Parity(most, float(together.mean()), len(sources), of)
