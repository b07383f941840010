"""Components of which each breaks, by its declaration, the one rule that it is named after."""

import math
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic_core import core_schema
from torch import nn

import p2pkit

DOC = """A network in perfect order.

Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1].
Source: none.
"""


class Fine(nn.Module):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        super().__init__()
        self.layer = nn.Conv2d(images.source.channels, images.target.channels, 3, padding=1)

    def forward(self, source):
        return self.layer(source).tanh()


class WithoutDocstring(Fine):
    pass


class LongWinded(Fine):
    """A network whose first sentence
    goes on in the second line.

    Shape: (B, C_source, H, W) in [-1, 1] -> (B, C_target, H, W) in [-1, 1].
    Source: none.
    """


class WithoutShape(Fine):
    """A network.

    Source: none.
    """


class WithoutSource(Fine):
    """A network.

    Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1].
    """


class Untyped(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec, *, width: Annotated[Any, Field(description="Any width.")] = 1) -> None:
        super().__init__(images)


class Undescribed(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec, *, width: Annotated[int, Field(ge=1)] = 1) -> None:
        super().__init__(images)


class Infinite(Fine):
    __doc__ = DOC

    def __init__(
        self, images: p2pkit.PairSpec, *, most: Annotated[float, Field(description="The most.")] = math.inf
    ) -> None:
        super().__init__(images)


class NeedsWidth(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec, *, width: Annotated[int, Field(description="The width.")]) -> None:
        super().__init__(images)


class Loose(str):
    """A text of which JSON schema learns nothing."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return core_schema.any_schema()


ANY = Loose("any")


class Vague(Fine):
    __doc__ = DOC

    def __init__(
        self, images: p2pkit.PairSpec, *, mode: Annotated[Loose, Field(description="The mode.")] = ANY
    ) -> None:
        super().__init__(images)


class Refuses(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        if images.source.channels == 1:
            raise ValueError("no grey images")
        super().__init__(images)


class FitsNothing(Fine):
    __doc__ = DOC

    def __init__(self, images: p2pkit.PairSpec) -> None:
        raise p2pkit.ComponentError("only images of one pixel are small enough")


class Trusting(Fine):
    __doc__ = DOC

    def __init__(
        self, images: p2pkit.PairSpec, *, weights: Annotated[Path | None, Field(description="A file.")] = None
    ) -> None:
        super().__init__(images)
        if weights is not None:
            self.load_state_dict(torch.load(weights, weights_only=False))


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("_name", Fine)
    yield p2pkit.Generator("docstring", WithoutDocstring, summary="A network.")
    yield p2pkit.Generator("docstring_2", LongWinded)
    yield p2pkit.Generator("shape_section", WithoutShape)
    yield p2pkit.Generator("source_section", WithoutSource)
    yield p2pkit.Generator("typed", Untyped)
    yield p2pkit.Generator("described", Undescribed)
    yield p2pkit.Generator("defaults", Infinite)
    yield p2pkit.Generator("defaults_2", NeedsWidth)
    yield p2pkit.Generator("schema", Vague)
    yield p2pkit.Generator("foreign_files", Trusting)
    yield p2pkit.Generator("builds", Refuses)
    yield p2pkit.Generator("builds_2", FitsNothing)
    yield p2pkit.Generator("nothing", Fine)
