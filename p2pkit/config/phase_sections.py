"""What a config says of the phases of a run: lengths, weights, sizes, rates, frozen parts and the players' pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from p2pkit.config.sections import Many, Name, Section

Unit = Literal["epochs", "steps"]
Side = Annotated[int, Field(ge=1, le=2**16)]


class UpdatesConfig(Section):
    """The pace of the players: so many updates of the one for so many of the other; one of the numbers is 1."""

    generator: int = Field(1, ge=1, le=1000, description="Updates of the generator, each of which is a step.")
    discriminator: int = Field(
        1,
        ge=0,
        le=1000,
        description="Updates of the discriminator in that time, each on pairs of its own; 0 leaves it as it is.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> UpdatesConfig:
        if self.generator > 1 and self.discriminator > 1:
            raise ValueError("one of the two must be 1")
        if self.generator > 1 and self.discriminator == 0:
            raise ValueError("where the discriminator makes no updates, write generator: 1")
        return self

    @property
    def groups(self) -> int:
        """How many times the pairs of one update a step takes."""
        return max(1, self.discriminator)

    def due(self, step: int) -> bool:
        """Whether the discriminator moves in a step, counted from 0."""
        return self.discriminator > 0 and step % self.generator == 0


class FrozenConfig(Section):
    """Parameters that training leaves as they are, by patterns of their names: `encoder.*`, `norms`, `biases`."""

    generator: list[str] | None = Field(None, description="The generator's.")
    discriminator: list[str] | None = Field(None, description="The discriminator's.")

    @property
    def patterns(self) -> Mapping[str, list[str]]:
        """The patterns by player."""
        return {"generator": self.generator or [], "discriminator": self.discriminator or []}


class PhaseTermConfig(Section):
    """What a phase changes in a term; a number is short for `weight`, null for weight 0."""

    weight: float | None = Field(None, ge=0, description="Factor of this term; 0 leaves it out.")
    every: int | None = Field(None, ge=1, le=Many, description="Apply the term every N steps only.")


class PhaseRateConfig(Section):
    """What a phase changes in an optimiser."""

    lr: float | None = Field(None, gt=0, description="Learning rate; the schedule's factor applies to it too.")


class PhaseRatesConfig(Section):
    """What a phase changes in the optimisers."""

    generator: PhaseRateConfig = Field(default_factory=PhaseRateConfig, description="The generator's.")
    discriminator: PhaseRateConfig = Field(default_factory=PhaseRateConfig, description="The discriminator's.")
    losses: PhaseRateConfig = Field(default_factory=PhaseRateConfig, description="That of losses that learn.")


class PhaseConfig(Section):
    """A stretch of the run; what it does not say is as the rest of the config says."""

    name: Name | None = Field(None, description="What it is called in progress and messages; by default its number.")
    epochs: int | None = Field(None, ge=1, le=Many, description="Its length, where the schedule counts in epochs.")
    steps: int | None = Field(None, ge=1, le=Many, description="Its length, where the schedule counts in steps.")
    size: Side | tuple[Side, Side] | None = Field(
        None,
        description="Height of the training images, whose width shrinks with it, or [height, width]; "
        "no larger than the run's.",
    )
    losses: dict[Name, PhaseTermConfig] = Field(
        default_factory=dict, description="Weights of terms; the terms themselves stand in the run's `losses`."
    )
    optimizers: PhaseRatesConfig = Field(default_factory=PhaseRatesConfig, description="Learning rates.")
    updates: UpdatesConfig | None = Field(None, description="The pace of the players.")
    frozen: FrozenConfig = Field(default_factory=FrozenConfig, description="Parameters that stay as they are.")
