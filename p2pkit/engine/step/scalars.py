"""What a step measures: values that stay on the device until somebody reads them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from p2pkit.types import View

Measured = dict[str, Tensor]
"""Detached scalars of one batch, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Scalars(Mapping[str, Tensor]):
    """Named values that lie side by side on the device, so that one launch adds them up and one transfer reads them.

    A term's weighted value is its raw one times a number that the host knows: it is made when it is asked for.

    Args:
        names: The names.
        stacked: Their values.
        weighted: Names that have a weighted form too, `NAME_weighted`, and its factor.

    Shape: stacked (names,).
    """

    names: tuple[str, ...]
    stacked: Tensor
    weighted: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def mean(cls, updates: Sequence[Sequence[Measured]], weighted: Mapping[str, float]) -> Scalars:
        """Return the mean over batches of what each update measured of each batch."""
        batches = [dict(ChainMap(*reversed(parts))) for parts in zip(*updates, strict=True)]
        names = tuple(name for name in batches[0] if all(name in batch for batch in batches))  # losses log as they like
        values = torch.stack([batch[name].float() for batch in batches for name in names]).view(len(batches), -1)
        return cls(names, values[0] if len(batches) == 1 else values.mean(0), weighted)

    def __getitem__(self, name: str) -> Tensor:
        raw = name.removesuffix("_weighted")
        if raw != name and raw in self.weighted:
            return self[raw] * self.weighted[raw]
        if name not in self.names:
            raise KeyError(name)
        return self.stacked[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        yield from self.names
        yield from (f"{name}_weighted" for name in self.names if name in self.weighted)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def means(updates: Sequence[Sequence[Measured]]) -> Sequence[Measured]:
    """Return what several updates of one player measured as if it had been one, batch by batch."""
    if len(updates) == 1:
        return updates[0]
    return [
        {
            name: torch.stack([held[name].float() for held in parts]).mean(0)
            for name in parts[0]
            if all(name in held for held in parts)
        }
        for parts in zip(*updates, strict=True)
    ]


def verdict_scalars(view: View, threshold: float | None) -> Measured:
    """Return the discriminator's mean logits, where a term has asked for verdicts anyway, and how often it is right.

    Args:
        view: The discriminator's view of a batch, after its terms have read it.
        threshold: The logit above which it takes a pair for real, where a term of the run knows one.
    """
    measured: Measured = {}
    for name, verdict in view.verdicts.items():
        logits = [scale.detach() for scale in verdict.logits]
        measured[f"train/verdict/{name}"] = _mean(logits)
        if threshold is not None:
            right = [scale > threshold if name == "real" else scale <= threshold for scale in logits]
            measured[f"train/accuracy/{name}"] = _mean([scale.float() for scale in right])
    return measured


def _mean(scales: Sequence[Tensor]) -> Tensor:
    means = [scale.mean() for scale in scales]
    return means[0] if len(means) == 1 else torch.stack(means).mean()
