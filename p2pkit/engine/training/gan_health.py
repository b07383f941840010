"""Is the GAN healthy: alarms for a discriminator that wins, and for fakes that are all alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from p2pkit.config.model import HealthConfig
from p2pkit.engine.storage.loop_state import HealthState
from p2pkit.types import Samples

_SPAN = 100.0
"""Steps over which the discriminator's accuracy is smoothed, beginning at a coin's 0.5."""
_LEAST = 200
"""Steps after which fakes may be expected to differ."""
_RISES = 1.1
"""Factor by which the variety of fakes that are still being learnt grows from one evaluation to the next."""
_LONGEST_SIDE = 256
_WINS = (
    "lower optimizers.discriminator.lr or engine.discriminator_factor, take a discriminator that sees less (patch_34, "
    "patch_16), label real pairs 0.9 (losses.gan.params.real_label), or penalise it (losses.r1)"
)
_COLLAPSED = (
    "raise the weight of a distance to the target (losses.l1.weight), lower optimizers.generator.lr, and look at the "
    "samples: does the source show at all?"
)


class Alarm:
    """Something that is told once, and again only after it was over.

    Args:
        name: Its name in MLflow, under `health/`.
        note: Called with a sentence for the user.
    """

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        self.name = name
        self.note = note
        self.rings = False

    def hear(self, step: int, text: str, *, wrong: bool, fine: bool) -> dict[str, float]:
        """Take in how things are; between wrong and fine it stays as it was.

        Args:
            step: The step that this was seen at.
            text: What is told when it begins to ring.
            wrong: Whether things are so bad that it rings.
            fine: Whether they are so good that it stops.

        Returns:
            Whether it rings, as a scalar for trackers.
        """
        if wrong and not self.rings:
            self.note(f"step {step}: {text}")
        self.rings = wrong or (self.rings and not fine)
        return {f"health/{self.name}": float(self.rings)}


class Health:
    """Watches a run's scalars and samples.

    Args:
        settings: When to raise an alarm.
        note: Called with a sentence for the user.
    """

    def __init__(self, settings: HealthConfig, note: Callable[[str], None]) -> None:
        self.settings = settings
        self._wins = Alarm("discriminator_wins", note)
        self._collapsed = Alarm("collapsed", note)
        self._right = [0.5, 0.5]
        self._read_at = 0
        self._variety: float | None = None

    def state(self) -> HealthState:
        """Return what the alarms have seen, for a checkpoint."""
        rings = {alarm.name: alarm.rings for alarm in (self._wins, self._collapsed)}
        return {"right": self._right, "read_at": self._read_at, "variety": self._variety, "rings": rings}

    def restore(self, state: HealthState) -> None:
        """Go on from what an earlier part of the run has seen; from the beginning where it is empty."""
        self._right = list(state.get("right", [0.5, 0.5]))
        self._read_at = state.get("read_at", 0)
        self._variety = state.get("variety")
        for alarm in (self._wins, self._collapsed):
            alarm.rings = state.get("rings", {}).get(alarm.name, False)

    def read(self, step: int, scalars: Mapping[str, float]) -> dict[str, float]:
        """Look at what was measured since the last reading.

        Returns:
            The alarm of a discriminator that wins, as a scalar; nothing where its accuracy is unknown.
        """
        known = [scalars[name] for name in ("train/accuracy/real", "train/accuracy/fake") if name in scalars]
        limit = self.settings.accuracy
        if limit is None or len(known) < 2:
            return {}
        share = 1 - math.exp(-(step - self._read_at) / _SPAN)
        self._right = [before + share * (now - before) for before, now in zip(self._right, known, strict=True)]
        self._read_at = step
        real, fake = self._right
        text = f"the discriminator wins: it is right about {real:.1%} of real and {fake:.1%} of fake pairs; {_WINS}"
        return self._wins.hear(step, text, wrong=min(real, fake) > limit, fine=min(real, fake) < (limit + 0.5) / 2)

    def evaluated(self, step: int, split: str, samples: Samples) -> dict[str, float]:
        """Look at an evaluation's samples.

        Returns:
            Their variety, and the alarm of fakes that are all alike; nothing where there is only one sample, or
            targets are all alike themselves.
        """
        found = sample_diversity(samples)
        limit = self.settings.variety
        if found is None:
            return {}
        values = {f"{split}/variety": found}
        before, self._variety = self._variety, found
        if limit is None or before is None or step < _LEAST:  # an untrained generator's fakes are grey and alike
            return values
        text = (
            f"fakes of different sources are alike: they vary {found:.0%} as much as their targets do, less than "
            f"{limit:.0%}, and no more than before; {_COLLAPSED}"
        )
        return values | self._collapsed.hear(step, text, wrong=found < min(limit, before * _RISES), fine=found >= limit)


def sample_diversity(samples: Samples) -> float | None:
    """Return how much fakes of different sources differ, relative to how much their targets do: 1 is as much.

    The difference of a set of pictures is the standard deviation of each pixel over the set, mean over pixels.

    Args:
        samples: Pictures with source, fake and target side by side.

    Returns:
        The ratio; None for a single sample, and for targets that are all the same.
    """
    pictures = samples.pictures
    if len(pictures) < 2 or len({picture.shape for picture in pictures}) > 1:
        return None
    every = -(-pictures[0].shape[0] // _LONGEST_SIDE)
    parts = (np.split(picture, 3, axis=1) for picture in pictures)
    fakes, targets = zip(
        *((fake[::every, ::every], target[::every, ::every]) for _, fake, target in parts), strict=True
    )
    spread = float(np.std(np.stack(targets), axis=0).mean())
    return float(np.std(np.stack(fakes), axis=0).mean()) / spread if spread else None
