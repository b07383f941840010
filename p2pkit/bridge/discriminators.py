"""The discriminators of other toolboxes: their keys, and what these say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pkit.bridge.generators import has_norm_state, norm_params
from p2pkit.bridge.layout import Inferred, Layout, Params, Shapes


@dataclass(frozen=True)
class PatchNames:
    """How a PatchGAN is named: the convolutions between the first and the last have a norm.

    Args:
        stride: Places from one convolution to the next; the second has place `stride` - 1.
        suffixes: What follows the place of a convolution, and of the norm after it.
    """

    stride: int
    suffixes: tuple[str, str]

    def pair(self, index: int) -> tuple[str, str]:
        """Name a convolution by its number, and the norm after it."""
        place = max(0, self.stride * index - (self.stride > 1))
        norm = place if self.suffixes[1] else place + 1
        return f"model.{place}{self.suffixes[0]}", f"model.{norm}{self.suffixes[1]}"

    def infer(self, shapes: Shapes) -> Inferred:
        """Read the number of halvings, channels and norm."""
        layers = sum(len(shape) == 4 for shape in shapes.values()) - 2
        width, inputs = shapes[f"{self.pair(0)[0]}.weight"][:2]
        params = {"layers": layers, "width": width, **norm_params(shapes, *self.pair(1))}
        return Inferred(params, inputs, 1)

    def modules(self, params: Params) -> Sequence[str]:
        """Name the layers."""
        kept = slice(2 if has_norm_state(params) else 1)
        between = [name for index in range(1, params["layers"] + 1) for name in self.pair(index)[kept]]
        last = self.pair(params["layers"] + 1)[0].removesuffix(self.suffixes[0])
        return [self.pair(0)[0], *between, last]


def _infer_pixel(shapes: Shapes) -> Inferred:
    width, inputs = shapes["net.0.weight"][:2]
    return Inferred({"layers": 0, "width": width, **norm_params(shapes, "net.2", "net.3")}, inputs, 1)


def _pixel_modules(params: Params) -> Sequence[str]:
    return ["net.0", "net.2", *(["net.3"] if has_norm_state(params) else []), "net.5"]


def _infer_erik(shapes: Shapes) -> Inferred:
    width, inputs = shapes["model.0.weight"][:2]
    return Inferred({"width": width}, inputs, 1)


def _erik_modules(params: Params) -> Sequence[str]:
    return [f"model.{place}" for place in (0, 2, 5, 8, 12)]


_junyanz_patch = PatchNames(3, ("", ""))
_mmgen_patch = PatchNames(1, (".conv", ".bn"))

DISCRIMINATORS = (
    Layout(
        "erik",
        "PatchGAN",
        "discriminator",
        "p2pkit:patch_blog",
        anchor="model.12.weight",
        infer=_infer_erik,
        modules=_erik_modules,
    ),
    Layout(
        "junyanz",
        "PixelGAN",
        "discriminator",
        "p2pkit:patch",
        anchor="net.0.weight",
        infer=_infer_pixel,
        modules=_pixel_modules,
    ),
    Layout(
        "mmgen",
        "PatchGAN",
        "discriminator",
        "p2pkit:patch",
        anchor="model.1.conv.weight",
        infer=_mmgen_patch.infer,
        modules=_mmgen_patch.modules,
        channels="bgr",
    ),
    Layout(
        "junyanz",
        "PatchGAN",
        "discriminator",
        "p2pkit:patch",
        anchor="model.0.bias",
        infer=_junyanz_patch.infer,
        modules=_junyanz_patch.modules,
    ),
)
