"""The generators of other toolboxes: their keys, and what these say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pkit.bridge.layout import Inferred, Layout, Params, Shapes


def norm_params(shapes: Shapes, convolution: str, norm: str) -> Params:
    """Tell the norm from one convolution and the norm after it.

    Args:
        shapes: The file's keys and shapes.
        convolution: A convolution that a norm follows.
        norm: That norm, where it has tensors.

    Returns:
        Our parameters: batch norm has weights, instance norm leaves a bias to the convolution, none leaves neither.
    """
    if f"{norm}.weight" in shapes:
        return {"norm": "batch"}
    return {"norm": "instance"} if f"{convolution}.bias" in shapes else {"norm": "none", "bias": False}


def has_norm_state(params: Params) -> bool:
    """Whether the norms of a network have tensors."""
    return bool(params["norm"] == "batch")


@dataclass(frozen=True)
class NestedNames:
    """How a U-Net of blocks within blocks is named; each pair is a convolution and the norm after it."""

    first: str
    child: str
    down: tuple[str, str]
    up: tuple[str, str]
    bottom: tuple[str, str]
    last: str

    def block(self, level: int) -> str:
        """Return the prefix of a block, counted from the outermost, which is 0."""
        return "model.model." if level == 0 else "model.model.1.model." + self.child * (level - 1)

    def infer(self, shapes: Shapes) -> Inferred:
        """Read depth, channels and norm."""
        depth = 1
        while f"{self.block(depth)}{self.down[0]}.weight" in shapes:
            depth += 1
        first, last = shapes[f"model.model.{self.first}.weight"], shapes[f"model.model.{self.last}.weight"]
        inner = self.block(depth - 1)
        width, deepest = first[0], shapes[f"{inner}{self.down[0]}.weight"][0]
        params = {"depth": depth, "width": width}
        if deepest != min(width * 2 ** (depth - 1), 8 * width):
            params["max_width"] = deepest
        norm = norm_params(shapes, inner + self.bottom[0], inner + self.bottom[1])
        return Inferred({**params, **norm}, first[1], last[1])

    def modules(self, params: Params) -> Sequence[str]:
        """Name the layers: down to the innermost block, and back up."""
        *outer, inner = [self.block(level) for level in range(1, params["depth"])]
        kept = slice(2 if has_norm_state(params) else 1)
        down = [block + name for block in outer for name in self.down[kept]]
        bottom = [inner + self.down[0], *(inner + name for name in self.bottom[kept])]
        up = [block + name for block in reversed(outer) for name in self.up[kept]]
        return [f"model.model.{self.first}", *down, *bottom, *up, f"model.model.{self.last}"]


@dataclass(frozen=True)
class ResNetNames:
    """How a ResNet generator is named.

    Args:
        start: Place of the first convolution.
        stride: Places from one convolution to the next, outside of blocks.
        suffixes: What follows the place of a convolution, and of the norm after it counted from that convolution.
        block: What stands between a block's place and its layers'.
        second: Place of a block's second convolution without dropout; with it, one more. The first has place `start`.
        end: Places between the last doubling's and the last convolution.
    """

    start: int
    stride: int
    suffixes: tuple[str, str]
    block: str
    second: int
    end: int

    def pair(self, prefix: str, place: int) -> tuple[str, str]:
        """Name a convolution and the norm after it."""
        norm = place if self.suffixes[1] else place + 1
        return f"{prefix}{place}{self.suffixes[0]}", f"{prefix}{norm}{self.suffixes[1]}"

    def infer(self, shapes: Shapes) -> Inferred:
        """Read the number of blocks, channels, norm and dropout."""
        blocks = {key.split(".")[1] for key in shapes if f".{self.block}." in key}
        first = self.pair("model.", self.start)
        last = self.pair("model.", self._last(len(blocks)))[0]
        inside = f"model.{self._first_block}.{self.block}."
        dropout = f"{self.pair(inside, self.second)[0]}.weight" not in shapes
        width, inputs = shapes[f"{first[0]}.weight"][:2]
        params = {"blocks": len(blocks), "width": width, "dropout": 0.5 if dropout else 0.0}
        return Inferred({**params, **norm_params(shapes, *first)}, inputs, shapes[f"{last}.weight"][0])

    def modules(self, params: Params) -> Sequence[str]:
        """Name the layers: two halvings, the blocks, two doublings."""
        second = self.second + bool(params["dropout"])
        places = [self.pair("model.", self.start + self.stride * i) for i in range(3)]
        for block in range(self._first_block, self._first_block + params["blocks"]):
            inside = f"model.{block}.{self.block}."
            places += [self.pair(inside, self.start), self.pair(inside, second)]
        doublings = self._first_block + params["blocks"]
        places += [self.pair("model.", doublings + self.stride * i) for i in range(2)]
        kept = slice(2 if has_norm_state(params) else 1)
        last = self.pair("model.", self._last(params["blocks"]))[0]
        return [*(name for pair in places for name in pair[kept]), last]

    @property
    def _first_block(self) -> int:
        return self.start + 3 * self.stride

    def _last(self, blocks: int) -> int:
        return self._first_block + blocks + 2 * self.stride + self.end


def _infer_erik(shapes: Shapes) -> Inferred:
    depth = 1
    while f"down{depth + 1}.model.0.weight" in shapes:
        depth += 1
    first, last = shapes["down1.model.0.weight"], shapes["final.2.weight"]
    return Inferred({"depth": depth, "width": first[0]}, first[1], last[0])


def _erik_modules(params: Params) -> Sequence[str]:
    down = [f"down{level}.model.0" for level in range(1, params["depth"] + 1)]
    return [*down, *(f"up{block}.model.0" for block in range(1, params["depth"])), "final.2"]


_junyanz_unet = NestedNames("0", "3.model.", down=("1", "2"), up=("5", "6"), bottom=("3", "4"), last="3")
_mmgen_unet = NestedNames(
    "0.conv", "1.model.", down=("0.conv", "0.bn"), up=("2.conv", "2.bn"), bottom=("1.conv", "1.bn"), last="2.conv"
)
_junyanz_resnet = ResNetNames(1, 3, suffixes=("", ""), block="conv_block", second=5, end=1)
_mmgen_resnet = ResNetNames(0, 1, suffixes=(".conv", ".bn"), block="block", second=1, end=0)

GENERATORS = (
    Layout(
        "junyanz",
        "U-Net",
        "generator",
        "p2pkit:unet",
        anchor="model.model.0.weight",
        infer=_junyanz_unet.infer,
        modules=_junyanz_unet.modules,
        dropout_rate=0.5,
    ),
    Layout(
        "junyanz",
        "ResNet",
        "generator",
        "p2pkit:resnet",
        anchor="model.10.conv_block.1.weight",
        infer=_junyanz_resnet.infer,
        modules=_junyanz_resnet.modules,
    ),
    Layout(
        "mmgen",
        "U-Net",
        "generator",
        "p2pkit:unet",
        anchor="model.model.0.conv.weight",
        infer=_mmgen_unet.infer,
        modules=_mmgen_unet.modules,
        dropout_rate=0.5,
        channels="bgr",
    ),
    Layout(
        "mmgen",
        "ResNet",
        "generator",
        "p2pkit:resnet",
        anchor="model.3.block.0.conv.weight",
        infer=_mmgen_resnet.infer,
        modules=_mmgen_resnet.modules,
        channels="bgr",
    ),
    Layout(
        "erik",
        "U-Net",
        "generator",
        "p2pkit:unet_blog",
        anchor="down1.model.0.weight",
        infer=_infer_erik,
        modules=_erik_modules,
        batch_norm="running",
        dropout="off",
        dropout_rate=0.5,
    ),
)
