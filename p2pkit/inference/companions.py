"""What a generator wants beside the source that it translates, and how it comes along with it.

Images are planes after those of the source, so that they are padded and cut into tiles as it is; vectors are the same
for all tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from p2pkit.errors import DataError, Problem
from p2pkit.extras.calling import generated, taken
from p2pkit.extras.reading import described, read_image_beside, read_vector
from p2pkit.extras.values import draw, seen
from p2pkit.types import ExtraSpec, ImageSpec, Pair, PairSpec, VectorSpec, is_drawn
from p2pkit.untyped import Plain

Vectors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Input:
    """A source with what stands beside it.

    Shape: planes (C_source + C_extras, H, W), of volumes with a depth, in [-1, 1]; each vector (size,).
    """

    planes: Tensor
    vectors: Vectors = field(default_factory=dict)

    @property
    def form(self) -> tuple[torch.Size, tuple[str, ...]]:
        """The planes' shape, and which vectors there are: inputs of one form go through the network together."""
        return self.planes.shape, tuple(self.vectors)


@dataclass(frozen=True)
class Companions:
    """What a generator takes of what its data had beside the images.

    Args:
        specs: What it takes, by name.
        needed: What it can't do without, images among it; other vectors may be left out.
        channels: Channels of a source.
    """

    specs: Mapping[str, ExtraSpec]
    needed: frozenset[str]
    channels: int

    @classmethod
    def of(cls, generator: nn.Module, images: PairSpec) -> Companions:
        """Return those of a generator that was trained on such images."""
        wanted = {name: needed for name, needed in taken(generator).items() if name in images.extras}
        specs = {name: images.extras[name] for name in sorted(wanted)}
        planes = {name for name, spec in specs.items() if isinstance(spec, ImageSpec)}
        needed = frozenset(name for name in specs if name in planes or (wanted[name] and not is_drawn(specs[name])))
        return cls(specs, needed, images.source.channels)

    @property
    def images(self) -> dict[str, ImageSpec]:
        """The images that it takes."""
        return {name: spec for name, spec in self.specs.items() if isinstance(spec, ImageSpec)}

    @property
    def drawn(self) -> dict[str, VectorSpec]:
        """What is drawn for it."""
        return {name: spec for name, spec in self.specs.items() if is_drawn(spec)}

    def described(self) -> dict[str, str]:
        """Say in words what it takes, by name."""
        return {name: described(spec) for name, spec in self.specs.items()}

    def problems(self, given: Plain) -> Iterator[Problem]:
        """Yield what is wrong with what is given for a source, as far as it can be told without reading images."""
        for name in given.keys() - self.specs.keys():
            known = "; ".join(f"{key}: {text}" for key, text in self.described().items())
            yield Problem(name, "this generator takes no such thing", known and f"it takes {known}")
        for name in sorted(self.needed - given.keys()):
            remedy = f"say --input {name}=VALUE, {name}=VALUE in Python, or give a table a column or JSON a key {name}"
            yield Problem(name, f"is needed beside the source: {described(self.specs[name])}", remedy)
        for name in sorted(given.keys() & self.specs.keys()):
            spec = self.specs[name]
            if isinstance(spec, VectorSpec):
                try:
                    read_vector(given[name], spec)
                except ValueError as error:
                    yield Problem(name, str(error))

    def read(self, source: Tensor, given: Plain, seed: int) -> Input:
        """Read what is given for a source, and draw what is not.

        Raises:
            DataError: It is not what the generator takes.
            OSError: An image can't be read.
        """
        if wrong := list(self.problems(given)):
            raise DataError(wrong)
        planes = [read_image_beside(given[name], spec, source.shape[1:]) for name, spec in self.images.items()]
        vectors = {name: self.specs[name] for name in self.specs if name in given and name not in self.images}
        read = {name: read_vector(given[name], spec) for name, spec in vectors.items() if isinstance(spec, VectorSpec)}
        return self._with_noise(torch.cat([source, *planes]), read, seed)

    def of_pair(self, source: Tensor, pair: Pair, seed: int) -> Input:
        """Take what a pair holds beside its images, and draw what it does not."""
        held = {
            name: seen(pair.extras[name][None], spec)[0] for name, spec in self.specs.items() if name in pair.extras
        }
        planes = [held.pop(name) for name in self.images]
        return self._with_noise(torch.cat([source, *planes]), held, seed)

    def require(self, images: PairSpec) -> None:
        """Refuse pairs that lack what the generator can't do without.

        Raises:
            DataError: They do.
        """
        if missing := sorted(self.needed - images.given.keys()):
            remedy = "translate data that have it, or files with --input"
            raise DataError(
                [Problem(name, "is needed beside the source, and the pairs lack it", remedy) for name in missing]
            )

    def _with_noise(self, planes: Tensor, vectors: Vectors, seed: int) -> Input:
        missing = {name: spec for name, spec in self.drawn.items() if name not in vectors}
        return Input(planes, {**vectors, **{name: noise[0] for name, noise in draw(missing, [seed]).items()}})

    def blank(self, size: Sequence[int]) -> Input:
        """Return zeros in the form of a source with all that stands beside it."""
        channels = self.channels + sum(spec.channels for spec in self.images.values())
        vectors = {name: torch.zeros(spec.size) for name, spec in self.specs.items() if isinstance(spec, VectorSpec)}
        return Input(torch.zeros(channels, *size), vectors)

    def ask(self, generator: nn.Module, planes: Tensor, vectors: Vectors) -> Tensor:
        """Run a generator on a batch.

        Shape: planes (B, C_source + C_extras, H, W), vectors (B, size) -> (B, C_target, H, W).
        """
        source, extras = self.apart(planes, vectors)
        return generated(generator, source, extras)

    def apart(self, planes: Tensor, vectors: Vectors) -> tuple[Tensor, dict[str, Tensor]]:
        """Tell the sources of a batch from what stands beside them, by name."""
        if not self.specs:
            return planes, {}
        source, *images = torch.split(planes, [self.channels, *(spec.channels for spec in self.images.values())], 1)
        return source, {**dict(zip(self.images, images, strict=True)), **vectors}

    def together(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Vectors]:
        """Put a batch's sources and the images beside them into one, and return the vectors; the inverse of `apart`."""
        planes = torch.cat([given[name] for name in ("source", *self.images)], 1)
        return planes, {name: given[name] for name in self.specs if name not in self.images}


def stacked(inputs: Sequence[Input]) -> tuple[Tensor, Vectors]:
    """Make a batch of inputs of one form."""
    vectors = {name: torch.stack([each.vectors[name] for each in inputs]) for name in inputs[0].vectors}
    return torch.stack([each.planes for each in inputs]), vectors
