"""Other toolboxes' networks: random tensors under their keys, and what the networks compute, written out anew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as f

State = dict[str, Tensor]


@dataclass
class Layers:
    """Random layers under plain names, and how each is applied."""

    norm: str
    state: State
    generator: torch.Generator
    gain: float = 1.5

    @classmethod
    def of(cls, norm: str, seed: int = 0, gain: float = 1.5) -> Layers:
        return cls(norm, {}, torch.Generator().manual_seed(seed), gain)

    def add(self, name: str, *shape: int, outputs: int, normed: bool, bias: bool | None = None) -> None:
        fan = shape[1] * shape[2] * shape[3]
        self.state[f"{name}.weight"] = torch.randn(shape, generator=self.generator) * self.gain / fan**0.5
        if self.norm == "instance" if bias is None else bias:
            self.state[f"{name}.bias"] = torch.randn(outputs, generator=self.generator) * 0.1
        if normed and self.norm == "batch":
            for leaf in ("weight", "bias", "running_mean"):
                self.state[f"{name}.norm.{leaf}"] = torch.randn(outputs, generator=self.generator) * 0.3
            self.state[f"{name}.norm.running_var"] = torch.rand(outputs, generator=self.generator) + 0.5
            self.state[f"{name}.norm.num_batches_tracked"] = torch.tensor(7)

    def conv(self, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return f.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)

    def transposed(self, name: str, x: Tensor, output_padding: int = 0) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return f.conv_transpose2d(x, weight, bias, 2, 1, output_padding)

    def normed(self, name: str, x: Tensor) -> Tensor:
        if self.norm == "batch":
            leaves = ("running_mean", "running_var", "weight", "bias")
            return f.batch_norm(x, *(self.state[f"{name}.norm.{leaf}"] for leaf in leaves))
        return f.instance_norm(x) if self.norm == "instance" else x

    def renamed(self, names: dict[str, str], norms: dict[str, str]) -> State:
        """Put the tensors under a toolbox's keys."""
        renamed = {}
        for key, tensor in self.state.items():
            name, _, leaf = key.rpartition(".")
            of_norm = name.endswith(".norm")
            renamed[f"{norms[name.removesuffix('.norm')] if of_norm else names[name]}.{leaf}"] = tensor
        return renamed


@dataclass
class UNet:
    """The U-Net of junyanz and mmgeneration."""

    layers: Layers
    depth: int

    @classmethod
    def make(cls, depth: int, width: int, norm: str, inputs: int = 3, outputs: int = 3) -> UNet:
        layers = Layers.of(norm)
        levels = [inputs, *(width * min(2**level, 8) for level in range(depth))]
        for level in range(depth):
            inside = 0 < level < depth - 1
            layers.add(f"down{level}", levels[level + 1], levels[level], 4, 4, outputs=levels[level + 1], normed=inside)
        for level in reversed(range(depth)):
            made = levels[level] if level else outputs
            given = levels[level + 1] * (1 if level == depth - 1 else 2)
            layers.add(f"up{level}", given, made, 4, 4, outputs=made, normed=level > 0, bias=None if level else True)
        return cls(layers, depth)

    def __call__(self, x: Tensor, level: int = 0) -> Tensor:
        layers, last = self.layers, self.depth - 1
        down = layers.conv(f"down{level}", f.leaky_relu(x, 0.2) if level else x, 2, 1)
        down = layers.normed(f"down{level}", down) if 0 < level < last else down
        inside = self(down, level + 1) if level < last else down
        up = layers.transposed(f"up{level}", f.relu(inside))
        return torch.cat([x, layers.normed(f"up{level}", up)], 1) if level else up.tanh()

    def junyanz(self) -> State:
        names, norms = {"down0": "model.model.0", "up0": "model.model.3"}, {}
        for level in range(1, self.depth):
            prefix = "model.model.1.model" + ".3.model" * (level - 1)
            up = 5 if level < self.depth - 1 else 3
            names |= {f"down{level}": f"{prefix}.1", f"up{level}": f"{prefix}.{up}"}
            norms |= {f"down{level}": f"{prefix}.2", f"up{level}": f"{prefix}.{up + 1}"}
        return self.layers.renamed(names, norms)

    def mmgen(self) -> State:
        names, norms = {"down0": "model.model.0.conv", "up0": "model.model.2.conv"}, {}
        for level in range(1, self.depth):
            prefix = "model.model.1.model" + ".1.model" * (level - 1)
            up = 2 if level < self.depth - 1 else 1
            names |= {f"down{level}": f"{prefix}.0.conv", f"up{level}": f"{prefix}.{up}.conv"}
            norms |= {f"down{level}": f"{prefix}.0.bn", f"up{level}": f"{prefix}.{up}.bn"}
        return self.layers.renamed(names, norms)


@dataclass
class ResNet:
    """The ResNet generator of junyanz and mmgeneration."""

    layers: Layers
    blocks: int

    @classmethod
    def make(cls, blocks: int, width: int, norm: str, inputs: int = 3, outputs: int = 3) -> ResNet:
        layers = Layers.of(norm, gain=0.8)
        widths = [width, 2 * width, 4 * width]
        layers.add("in0", width, inputs, 7, 7, outputs=width, normed=True)
        for i in (1, 2):
            layers.add(f"in{i}", widths[i], widths[i - 1], 3, 3, outputs=widths[i], normed=True)
        for block in range(blocks):
            for half in "ab":
                layers.add(f"block{block}{half}", widths[2], widths[2], 3, 3, outputs=widths[2], normed=True)
        for i in (1, 0):
            layers.add(f"out{i}", widths[i + 1], widths[i], 3, 3, outputs=widths[i], normed=True)
        layers.add("last", outputs, width, 7, 7, outputs=outputs, normed=False, bias=True)
        return cls(layers, blocks)

    def __call__(self, x: Tensor) -> Tensor:
        layers = self.layers

        def reflected(name: str, image: Tensor, by: int) -> Tensor:
            return layers.conv(name, f.pad(image, [by] * 4, mode="reflect"))

        x = f.relu(layers.normed("in0", reflected("in0", x, 3)))
        for i in (1, 2):
            x = f.relu(layers.normed(f"in{i}", layers.conv(f"in{i}", x, 2, 1)))
        for block in range(self.blocks):
            first, second = f"block{block}a", f"block{block}b"
            change = f.relu(layers.normed(first, reflected(first, x, 1)))
            x = x + layers.normed(second, reflected(second, change, 1))
        for i in (1, 0):
            x = f.relu(layers.normed(f"out{i}", layers.transposed(f"out{i}", x, 1)))
        return reflected("last", x, 3).tanh()

    def junyanz(self, *, dropout: bool = False) -> State:
        end = 10 + self.blocks
        names = {"in0": "model.1", "in1": "model.4", "in2": "model.7", "out1": f"model.{end}"}
        names |= {"out0": f"model.{end + 3}", "last": f"model.{end + 7}"}
        norms = {"in0": "model.2", "in1": "model.5", "in2": "model.8"}
        norms |= {"out1": f"model.{end + 1}", "out0": f"model.{end + 4}"}
        for block in range(self.blocks):
            inside, second = f"model.{10 + block}.conv_block", 6 if dropout else 5
            names |= {f"block{block}a": f"{inside}.1", f"block{block}b": f"{inside}.{second}"}
            norms |= {f"block{block}a": f"{inside}.2", f"block{block}b": f"{inside}.{second + 1}"}
        return self.layers.renamed(names, norms)

    def mmgen(self, *, dropout: bool = False) -> State:
        places = {f"in{i}": f"model.{i}" for i in range(3)}
        for block in range(self.blocks):
            places[f"block{block}a"] = f"model.{3 + block}.block.0"
            places[f"block{block}b"] = f"model.{3 + block}.block.{2 if dropout else 1}"
        places |= {name: f"model.{3 + self.blocks + i}" for i, name in enumerate(("out1", "out0", "last"))}
        norms = {name: f"{place}.bn" for name, place in places.items()}
        return self.layers.renamed({name: f"{place}.conv" for name, place in places.items()}, norms)


@dataclass
class Erik:
    """The U-Net of erik and huggan."""

    layers: Layers
    depth: int

    @classmethod
    def make(cls, depth: int, width: int, inputs: int = 3, outputs: int = 3) -> Erik:
        layers = Layers.of("none")
        levels = [inputs, *(width * min(2**level, 8) for level in range(depth))]
        for level in range(1, depth + 1):
            layers.add(f"down{level}.model.0", levels[level], levels[level - 1], 4, 4, outputs=0, normed=False)
        for block in range(1, depth):
            given, made = levels[depth - block + 1] * (1 if block == 1 else 2), levels[depth - block]
            layers.add(f"up{block}.model.0", given, made, 4, 4, outputs=0, normed=False)
        layers.add("final.2", outputs, 2 * width, 4, 4, outputs=outputs, normed=False, bias=True)
        return cls(layers, depth)

    def __call__(self, x: Tensor) -> Tensor:
        levels = []
        for level in range(1, self.depth + 1):
            x = self.layers.conv(f"down{level}.model.0", x, 2, 1)
            x = f.leaky_relu(f.instance_norm(x) if 1 < level < self.depth else x, 0.2)
            levels.append(x)
        for block in range(1, self.depth):
            x = f.relu(f.instance_norm(self.layers.transposed(f"up{block}.model.0", x)))
            x = torch.cat([x, levels[self.depth - block - 1]], 1)
        enlarged = f.pad(f.interpolate(x, scale_factor=2.0), (1, 0, 1, 0))
        return self.layers.conv("final.2", enlarged, padding=1).tanh()


@dataclass
class Patch:
    """The PatchGAN of junyanz and mmgeneration."""

    layers: Layers
    halvings: int

    @classmethod
    def make(cls, halvings: int, width: int, norm: str, inputs: int = 6) -> Patch:
        layers = Layers.of(norm)
        widths = [inputs, *(width * min(2**n, 8) for n in range(halvings + 1))]
        for n in range(halvings + 1):
            layers.add(
                f"conv{n}",
                widths[n + 1],
                widths[n],
                4,
                4,
                outputs=widths[n + 1],
                normed=n > 0,
                bias=None if n else True,
            )
        layers.add(f"conv{halvings + 1}", 1, widths[-1], 4, 4, outputs=1, normed=False, bias=True)
        return cls(layers, halvings)

    def __call__(self, x: Tensor) -> Tensor:
        for n in range(self.halvings + 1):
            x = self.layers.conv(f"conv{n}", x, 2 if n < self.halvings else 1, 1)
            x = f.leaky_relu(self.layers.normed(f"conv{n}", x) if n else x, 0.2)
        return self.layers.conv(f"conv{self.halvings + 1}", x, 1, 1)

    def junyanz(self) -> State:
        places = {f"conv{n}": max(0, 3 * n - 1) for n in range(self.halvings + 2)}
        norms = {name: f"model.{place + 1}" for name, place in places.items()}
        return self.layers.renamed({name: f"model.{place}" for name, place in places.items()}, norms)

    def mmgen(self) -> State:
        names = {f"conv{n}": f"model.{n}.conv" for n in range(self.halvings + 1)}
        names[f"conv{self.halvings + 1}"] = f"model.{self.halvings + 1}"
        return self.layers.renamed(names, {f"conv{n}": f"model.{n}.bn" for n in range(self.halvings + 1)})


@dataclass
class Pixel:
    """The PixelGAN of junyanz."""

    layers: Layers

    @classmethod
    def make(cls, width: int, norm: str, inputs: int = 6) -> Pixel:
        layers = Layers.of(norm)
        layers.add("first", width, inputs, 1, 1, outputs=width, normed=False, bias=True)
        layers.add("second", 2 * width, width, 1, 1, outputs=2 * width, normed=True)
        layers.add("last", 1, 2 * width, 1, 1, outputs=1, normed=False)
        return cls(layers)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.layers.conv("second", f.leaky_relu(self.layers.conv("first", x), 0.2))
        return self.layers.conv("last", f.leaky_relu(self.layers.normed("second", x), 0.2))

    def junyanz(self) -> State:
        return self.layers.renamed({"first": "net.0", "second": "net.2", "last": "net.5"}, {"second": "net.3"})


@dataclass
class ErikPatch:
    """The PatchGAN of erik; it is given the image before the source."""

    layers: Layers

    @classmethod
    def make(cls, width: int, inputs: int = 6) -> ErikPatch:
        layers = Layers.of("none")
        widths = [inputs, width, 2 * width, 4 * width, 8 * width]
        for n, place in enumerate((0, 2, 5, 8)):
            layers.add(f"model.{place}", widths[n + 1], widths[n], 4, 4, outputs=widths[n + 1], normed=False, bias=True)
        layers.add("model.12", 1, widths[-1], 4, 4, outputs=1, normed=False)
        return cls(layers)

    def __call__(self, x: Tensor) -> Tensor:
        for place in (0, 2, 5, 8):
            x = self.layers.conv(f"model.{place}", x, 2, 1)
            x = f.leaky_relu(f.instance_norm(x) if place else x, 0.2)
        return self.layers.conv("model.12", f.pad(x, (1, 0, 1, 0)), padding=1)
