"""Ray for p2pkit: sweeps and translations on the nodes of a cluster, or on all of a machine."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit

from p2pkit_ray.executor import Ray

P2PKIT_PLUGIN_API = 2

__all__ = ["Ray"]


@p2pkit.hookimpl
def p2pkit_executors() -> Iterator[p2pkit.Executor]:
    """Offer Ray."""
    yield p2pkit.Executor("ray", Ray)
