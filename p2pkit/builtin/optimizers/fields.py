"""Parameters that optimisers share, and where what they are given lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from p2pkit.untyped import Untyped

Share = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Share, Share], Field(description="Decay of the two moments.")]
Eps = Annotated[float, Field(gt=0, description="Added to the denominator.")]
Decay = Annotated[float, Field(ge=0, description="Weight decay.")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="Share of the last update that goes into the next.")]

Groups = Sequence[dict[str, Untyped]]


def device_type(groups: Groups) -> str:
    """Return on which type of device parameters lie."""
    kind: str = groups[0]["params"][0].device.type
    return kind
