"""The nouns that are passed around: images, pairs, verdicts, views, samples, reports and runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Kind = Literal["intensity", "labels"]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What one image of every pair is.

    Args:
        channels: Planes of the tensor a network sees; for labels the number of classes.
        kind: `intensity` for values on a scale; `labels` for an index map, which networks see as one plane a class.
        low: The stored value that becomes -1.
        high: The stored value that becomes 1 (255 for 8-bit images, 65535 for 16-bit ones).
        palette: Colours to show the classes in, red-green-blue of 0..255; labels only.
        unlabelled: Classes that mean that a pixel's class is not known; losses and metrics of classes pass these
            pixels over.
        lightness: Whether a colour image becomes one plane by its CIE lightness and not by its luma.
    """

    channels: int
    kind: Kind = "intensity"
    low: float = 0.0
    high: float = 255.0
    palette: tuple[tuple[int, int, int], ...] = ()
    unlabelled: tuple[int, ...] = ()
    lightness: bool = False


@dataclass(frozen=True, slots=True)
class PairSpec:
    """What the images of a run are; a component's factory gets it as `images`.

    Args:
        source: The image that the generator is given.
        target: The image that it should make.
        height: Rows of both images, in pixels.
        width: Columns of both images, in pixels.
    """

    source: ImageSpec
    target: ImageSpec
    height: int
    width: int


class ParameterCount(NamedTuple):
    """How large a network is.

    Args:
        total: All of its parameters' values.
        trainable: Those that training changes.
    """

    total: int
    trainable: int

    @property
    def frozen(self) -> int:
        """How many values training leaves as they are."""
        return self.total - self.trainable

    def __str__(self) -> str:
        """Say it: `54,413,955 parameters`, and how many are trainable where not all of them are."""
        return f"{self.total:,} parameters" + (f", {self.trainable:,} of them trainable" if self.frozen else "")


@dataclass(frozen=True, slots=True)
class Pair:
    """One source image and the target image that belongs to it, as stored.

    Shape: source (C_stored, H, W), target (C_stored, H, W); integer or float values between the spec's `low` and
    `high`; a label map has one plane, which holds the classes' indices.
    """

    source: Tensor
    target: Tensor
    name: str


@runtime_checkable
class PairStream(Protocol):
    """Pairs one after another, for a split that is too large or too far away to be read in any order.

    It has to be picklable, since worker processes read it. A method `problems()` is optional: it lists what can be
    told to be wrong without reading the pairs, for instance files that are missing. So is an attribute `resident`: True
    where pairs lie ready in memory or in mapped files, so that a thread which reads ahead would only be in the way.
    """

    def __len__(self) -> int:
        """Return the number of pairs of the split."""
        ...

    def decoders(
        self, *, part: int = 0, parts: int = 1, seed: int | None = None, start: int = 0
    ) -> Iterator[Callable[[], Pair]]:
        """Yield a function for each pair, which decodes it when it is called, in any thread.

        A pair that can't be decoded raises `DataError` there, and the next one can still be read.

        Args:
            part: Which part of the split, from 0.
            parts: How many parts there are: together they hold each pair once, and their lengths differ by one at most.
            seed: Settles a random order; None for the order in which the pairs are stored.
            start: How many pairs of the part are left out at its beginning, to go on after an interruption.
        """
        ...


@runtime_checkable
class PairDataset(Protocol):
    """What a dataset's factory returns: pairs by split.

    `pairs` is a sequence in a fixed order, whose items may be slow to read and must be safe to read in threads; or a
    `PairStream`. Two methods are optional. `at(height, width)` gives the same data at another size (used by
    augmentations that load larger images than they return). `fingerprint(split)` is a short text that changes when
    the data changes. So is an attribute `resampling`, the filter by which images came to their size, for the protocol
    of evaluations.
    """

    spec: PairSpec
    splits: tuple[str, ...]

    def pairs(self, split: str) -> Sequence[Pair] | PairStream:
        """Return the pairs of a split."""
        ...


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


@dataclass(frozen=True, slots=True)
class Samples:
    """Fixed pairs of an evaluation with what the generator makes of them.

    Args:
        names: The pairs' names.
        pictures: For each pair, source, fake and target side by side, uint8 (H, 3 W, 3).
        sheet: The labelled PNG of all of them.
    """

    names: tuple[str, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    sheet: Path


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation measured.

    Args:
        split: The part of the data set.
        count: How many pairs were scored.
        metrics: Value of each metric, by name.
        baselines: The same metrics for predictions that need no learning: `source` and `mean`.
        higher_is_better: For each metric, which direction is good; None where the metric does not say.
        protocol: How it was measured: data, size, batch-norm mode, dropout; plain values.
        own_protocols: For each metric what its value depends on beside that: version, parameters, which weights.
        warnings: What is to be known before a value is believed.
        ground_truth: What the targets themselves would get, from the metrics that judge a fake without its target.
    """

    split: str
    count: int
    metrics: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    own_protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ground_truth: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """For each metric all of how it was measured; only values of equal protocols can be compared."""
        return {name: {**self.protocol, **self.own_protocols.get(name, {})} for name in self.metrics}

    @property
    def protocol_ids(self) -> dict[str, str]:
        """For each metric eight characters that are equal where, and only where, the protocols are."""
        return {name: short_id(protocol) for name, protocol in self.protocols.items()}

    @property
    def gains(self) -> dict[str, float]:
        """For each metric, by what share the fakes are better than the better baseline; negative where they are worse.

        Left out where no share can be said: the metric does not say which direction is good, its value is not finite,
        or the better baseline is 0 or infinite. A baseline that is not a number is passed over.
        """
        gains = {}
        for name, value in self.metrics.items():
            higher = self.higher_is_better.get(name)
            known = [scores[name] for scores in self.baselines.values() if not math.isnan(scores.get(name, math.nan))]
            if higher is None or not known:
                continue
            best = max(known) if higher else min(known)
            if best != 0 and math.isfinite(best) and math.isfinite(value):
                gains[name] = (value - best if higher else best - value) / abs(best)
        return gains


def short_id(data: Mapping[str, Any]) -> str:
    """Return eight characters that stand for plain data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What a tracker records of a run's data.

    Args:
        name: The dataset component, and its root where it has one.
        spec: What the images are.
        counts: Number of pairs of each split that is used.
        fingerprint: Short text that changes when the data changes.
        root: Where the data lies, empty for data that is made up.
    """

    name: str
    spec: PairSpec
    counts: Mapping[str, int]
    fingerprint: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One training, evaluation or sweep, as the run-event hooks see it.

    Args:
        name: The run's name; its folder has the same one.
        kind: What is being done.
        folder: Where the run keeps its files; exists when `run_started` is called.
        config: The resolved config: defaults filled in, aliases expanded; of a sweep what all its runs share, and the
            section `sweep`.
        dataset: What is known of the data.
        versions: Version of each plugin and package that takes part.
        facts: Settled by the engine: device, precision, parameter counts.
        resumed: True when an earlier part of the same run exists.
    """

    name: str
    kind: Literal["training", "evaluation", "sweep"]
    folder: Path
    config: Mapping[str, Any]
    dataset: DatasetFacts
    versions: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    resumed: bool = False
