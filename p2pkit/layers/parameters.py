"""Parameters that networks have in common, each with its limits and its sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Width = Annotated[int, Field(ge=1, le=1024, description="Channels of the first level.")]
Condition = Annotated[
    str | None,
    Field(description="Vector beside the images, a class or noise too, by which the decoder's levels are changed."),
]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Share of activations that dropout sets to zero.")]
InitStd = Annotated[float, Field(gt=0, le=1, description="Standard deviation of the initial weights.")]
Norm = Annotated[
    Literal["batch", "instance", "group", "none"], Field(description="Normalisation that follows the convolutions.")
]
Bias = Annotated[
    bool | None,
    Field(description="Whether the convolutions have biases; by default where the norm after them has none."),
]
Upsampling = Annotated[
    Literal["transposed", "nearest", "bilinear", "pixel_shuffle"],
    Field(description="How the decoder doubles an image's sides; all but transposed start free of checkerboards."),
]
Padding = Annotated[
    Literal["reflect", "replicate", "zeros"], Field(description="What convolutions see beyond an image's border.")
]
Final = Annotated[
    Literal["tanh", "linear", "softmax"],
    Field(description="Activation of the last layer; softmax gives one plane a class, for targets that are labels."),
]
