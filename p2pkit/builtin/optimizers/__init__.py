"""Optimisers: torch's, in the forms that a captured step can be replayed with, and Muon for convolutions."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit.builtin.optimizers.adam import adam, adamw
from p2pkit.builtin.optimizers.muon import Muon
from p2pkit.builtin.optimizers.sgd import sgd


@p2pkit.hookimpl
def p2pkit_optimizers() -> Iterator[p2pkit.Optimizer]:
    """Offer the built-in optimisers."""
    yield p2pkit.Optimizer("adam", adam)
    yield p2pkit.Optimizer("adamw", adamw)
    yield p2pkit.Optimizer("sgd", sgd)
    yield p2pkit.Optimizer("muon", Muon)
