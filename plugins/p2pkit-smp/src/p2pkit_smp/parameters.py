"""The parameters that the generators share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

Encoder = Annotated[
    str,
    Field(min_length=1, description="Name of an encoder: segmentation_models_pytorch's, or timm's after `tu-`."),
]
Pretrained = Literal["imagenet"] | Path | None
Weights = Annotated[
    Pretrained,
    Field(
        description="The encoder's first weights: a file, `imagenet` for the library's download, or null for random."
    ),
]
Norm = Annotated[
    Literal["batch", "instance", "group"],
    Field(description="Normalisation of decoder and head; the encoder keeps its own."),
]
Interpolation = Annotated[
    Literal["nearest", "bilinear", "bicubic"], Field(description="How the decoder doubles the sides.")
]
Attention = Annotated[
    Literal["scse"] | None, Field(description="Squeeze and excitation in the decoder's blocks: scse, or null for none.")
]
Levels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...],
    Field(
        min_length=3,
        max_length=5,
        description="Channels of the decoder's blocks, deepest first; their number is the number of halvings.",
    ),
]
Channels = Annotated[int, Field(ge=8, le=4096, description="Channels of the decoder.")]
