"""What a loss sees of a batch, and what a discriminator says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Made:
    """What a generator may return where its fake is not all that it made.

    Args:
        fake: The fake.
        extras: By name what losses and the discriminator are to see beside it, in `view.extras`.

    Shape: fake (B, C_target, H, W) in [-1, 1]; extras of any shape.
    """

    fake: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def detach(self) -> Made:
        """Return the same without history."""
        return Made(self.fake.detach(), {name: value.detach() for name, value in self.extras.items()})


Discriminate = Callable[..., Verdict]
"""Judges (source, image), with extras by name."""
Generate = Callable[..., "Tensor"]
"""Makes a fake of a source, with extras by name."""


class View:
    """What a loss sees of one batch in one player's turn.

    The discriminator is asked only when a loss reads a verdict, once for each image.

    Args:
        source: The batch of sources, as networks see them.
        target: The batch of targets.
        fake: What the generator made; without history in the discriminator's turn.
        discriminate: The discriminator, or None in a run without one.
        generate: The generator.
        step: Number of the step, from 0; by default 0.
        extras: By name what stands beside the images.
        made: By name what the generator made beside the fake.

    Shape: images (B, C, H, W) in [-1, 1]; step () int64, on the images' device; vectors (B, size).
    """

    def __init__(
        self,
        source: Tensor,
        target: Tensor,
        fake: Tensor,
        discriminate: Discriminate | None,
        *,
        generate: Generate | None = None,
        step: Tensor | None = None,
        extras: Mapping[str, Tensor] | None = None,
        made: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.fake = fake
        self._given = extras or {}
        self.extras: Mapping[str, Tensor] = {**self._given, **(made or {})}
        """By name the data's extras, those that were drawn, and over them what the generator made."""
        self._discriminate = discriminate
        self._generate = generate
        self._step = step
        self._verdicts: dict[str, Verdict] = {}
        self._logged: dict[str, Tensor] = {}

    @property
    def step(self) -> Tensor:
        """How many steps came before, as a tensor: a step that is a CUDA graph reads it where it lies.

        Compute with it as with any tensor, `(view.step / 1000).clamp(max=1)`, and take no branch by its value.
        """
        return self.fake.new_zeros(()).long() if self._step is None else self._step

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """The verdicts that losses have asked for so far: `real` is that on the target, `fake` that on the fake."""
        return self._verdicts

    def discriminate(self, source: Tensor, image: Tensor, **extras: Tensor) -> Verdict:
        """Ask the discriminator about any image, for penalties that need a forward of their own.

        Args:
            source: The sources.
            image: The images.
            **extras: What else it takes, where that is not what the batch has.
        """
        if self._discriminate is None:
            raise RuntimeError("this loss needs a discriminator, but no loss of the run trains one")
        return self._discriminate(source, image, **{**self.extras, **extras})

    def generate(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Ask the generator for fakes of any source, for terms that need a forward of their own.

        In the generator's turn it learns from them; in the discriminator's they are without history.

        Args:
            source: The sources.
            **extras: What else it takes, where that is not what the batch has: another noise, another class.

        Shape: (B, C_source, H, W) -> (B, C_target, H, W), both in [-1, 1].
        """
        if self._generate is None:
            raise RuntimeError("this loss needs a generator, and there is none to ask here")
        return self._generate(source, **{**self._given, **extras})

    def log(self, name: str, value: Tensor | float) -> None:
        """Report a number beside the loss, as `train/TERM/NAME`; it is read when losses are, and nobody waits for it.

        Args:
            name: What it is called; the same names in each call.
            value: The number.

        Raises:
            ValueError: It is not a single number.

        Shape: value ().
        """
        held = self.fake.new_full((), value) if isinstance(value, int | float) else value.detach().clone()
        if held.shape != ():
            raise ValueError(f"view.log takes a single number, and {name!r} is of shape {tuple(held.shape)}")
        self._logged[name] = held

    def taken(self) -> dict[str, Tensor]:
        """Return what was logged since this was asked last; the engine asks after each term."""
        logged, self._logged = self._logged, {}
        return logged

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
