"""How much a program's images differ from the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from p2pkit.extras.values import some
from p2pkit.inference.companions import Input, stacked
from p2pkit.inference.forms import Form
from p2pkit.inference.translate import Translator
from p2pkit.programs.runtimes import Given, Run

TOLERANCE = {"fp32": 1.0, "fp16": 8.0, "int8": 255.0}
"""The largest difference that is taken, in steps of 255 to the target's range; in 8 bits scores decide."""


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
        made = torch.from_numpy(run(given(translator, form, each)))
        wanted = form.of(translator.network_values(*stacked([each])), target)
        differ = (wanted != made).double() * 255 if whole else (wanted.double() - made.double()).abs() * steps
        apart.append(differ.flatten())
    together = torch.cat(apart)
    most = float(together.mean()) if whole else float(together.max())
    return Parity(most, float(together.mean()), len(sources), of)


def given(translator: Translator, form: Form, source: Input) -> Given:
    """Return what a program is given for a source.

    Args:
        translator: The network.
        form: The form in which the program takes images.
        source: The source, with what stands beside it.
    """
    planes, extras = translator.companions.apart(*stacked([source]))
    held = {"source": planes, **extras}
    return {name: form.of(held[name], spec).numpy() for name, spec in translator.inputs.items()}


def noise(translator: Translator, count: int) -> list[Input]:
    """Return sources of noise, with what stands beside them.

    Args:
        translator: The network that takes them.
        count: How many.
    """
    companions, dice = translator.companions, torch.Generator().manual_seed(0)
    made = {name: some(spec, translator.images, count, dice) for name, spec in translator.inputs.items()}
    planes, vectors = companions.together(made)
    return [Input(planes[index], {name: held[index] for name, held in vectors.items()}) for index in range(count)]
