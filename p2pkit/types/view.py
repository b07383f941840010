"""What a loss sees of a batch, and what a discriminator says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a discriminator says of a batch of pairs.

    Shape: logits, for each scale a map (B, 1, h, w) of any real value, larger meaning more like a real pair;
    features, for each scale the activations on the way, first layer first.
    """

    logits: tuple[Tensor, ...]
    features: tuple[tuple[Tensor, ...], ...] = ()


Discriminate = Callable[["Tensor", "Tensor"], Verdict]


class View:
    """What a loss sees of one batch in one player's turn.

    The discriminator is asked only when a loss reads a verdict, once for each image.

    Args:
        source: The batch of sources, as networks see them.
        target: The batch of targets.
        fake: What the generator made; without history in the discriminator's turn.
        discriminate: The discriminator, or None in a run without one.

    Shape: images (B, C, H, W) in [-1, 1].
    """

    def __init__(self, source: Tensor, target: Tensor, fake: Tensor, discriminate: Discriminate | None) -> None:
        self.source = source
        self.target = target
        self.fake = fake
        self._discriminate = discriminate
        self._verdicts: dict[str, Verdict] = {}

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """The verdicts that losses have asked for so far: `real` is that on the target, `fake` that on the fake."""
        return self._verdicts

    def discriminate(self, source: Tensor, image: Tensor) -> Verdict:
        """Ask the discriminator about any image, for penalties that need a forward of their own."""
        if self._discriminate is None:
            raise RuntimeError("this loss needs a discriminator, but no loss of the run trains one")
        return self._discriminate(source, image)

    @property
    def on_target(self) -> Verdict:
        """The verdict on the real pair (source, target)."""
        return self._asked("real", self.target)

    @property
    def on_fake(self) -> Verdict:
        """The verdict on the pair (source, fake)."""
        return self._asked("fake", self.fake)

    def _asked(self, name: str, image: Tensor) -> Verdict:
        if name not in self._verdicts:
            self._verdicts[name] = self.discriminate(self.source, image)
        return self._verdicts[name]
