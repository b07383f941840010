"""A schedule to begin with: a learning rate that falls by the root of the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field

import p2pkit

P2PKIT_PLUGIN_API = 2


def inverse_root(
    length: p2pkit.RunLength,
    *,
    share: Annotated[float, Field(gt=0, le=1, description="Share of the run with the whole learning rate.")] = 0.1,
) -> Callable[[int], float]:
    """The whole learning rate at first, then less by the root of the step.

    Args:
        length: How long the run is.
        share: Share of the run with the whole learning rate.

    Returns:
        The factor in each step, counted from 0. It depends on the step alone: a resumed run begins anywhere.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 5.3, without its warm-up, for which there is `warm_up`.
    """
    whole = max(1.0, share * length.steps)
    return lambda step: min(1.0, (whole / (step + 1)) ** 0.5)


@p2pkit.hookimpl
def p2pkit_schedules() -> Iterator[p2pkit.Schedule]:
    """Offer this plugin's schedules."""
    yield p2pkit.Schedule("inverse_root", inverse_root)
