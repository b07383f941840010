"""Rules for both networks: weights, gradients, and the ways in which the engine runs them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from p2pkit.testing.rule import require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import PairSpec, Verdict


def answer(network: Any, source: Tensor, image: Tensor) -> list[Tensor]:
    """Call a network, and return its fakes or all of its logits and features as a list."""
    if isinstance(network, nn.Module) and takes_pairs(network):
        verdict: Verdict = network(source, image)
        return [*verdict.logits, *(feature for scale in verdict.features for feature in scale)]
    return [network(source)]


def takes_pairs(network: nn.Module) -> bool:
    """Tell whether a network is a discriminator by the mark that `made` leaves."""
    return bool(getattr(network, "_p2pkit_judges", False))


def made(subject: Subject, images: PairSpec | None = None, seed: int = 0) -> nn.Module:
    """Build a network, marked as what it is."""
    network: nn.Module = subject.build(images, seed=seed)
    require(isinstance(network, nn.Module), "The factory has to return a torch.nn.Module.")
    network._p2pkit_judges = subject.kind == "discriminator"  # type: ignore[assignment]
    return network
