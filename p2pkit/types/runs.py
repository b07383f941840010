"""What plugins are told of a run: its data, its scores, its samples."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from p2pkit.types.images import PairSpec
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

    def _repr_png_(self) -> bytes:
        """Show the sheet in a notebook."""
        return self.sheet.read_bytes()


class Notice(str):
    """What a hook returns to the user where it is no warning."""

    __slots__ = ()


BASELINES = {"source": "source itself", "mean": "mean target"}
"""What the predictions that need no learning are called."""

ARROWS = {True: " ↑", False: " ↓", None: ""}
"""What stands behind a score's name: which direction is good."""


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
    protocol: Plain = field(default_factory=dict)
    own_protocols: Mapping[str, Plain] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ground_truth: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocols(self) -> dict[str, dict[str, Json]]:
        """For each metric all of how it was measured; only values of equal protocols can be compared."""
        return {name: {**self.protocol, **self.own_protocols.get(name, {})} for name in self.metrics}

    @property
    def protocol_ids(self) -> dict[str, str]:
        """For each metric eight characters that are equal where, and only where, the protocols are."""
        return {name: short_id(protocol) for name, protocol in self.protocols.items()}

    def head(self, metric: str) -> str:
        """Return a metric's name with an arrow in the direction that is good."""
        return f"{metric}{ARROWS[self.higher_is_better.get(metric)]}"

    def _repr_html_(self) -> str:
        """Show the scores in a notebook, beside those of predictions that need no learning."""
        heads = ["metric", "fake", *(BASELINES.get(name, name) for name in self.baselines)]
        rows = [
            [
                self.head(name),
                *(
                    f"{scores[name]:.4g}" if name in scores else ""
                    for scores in (self.metrics, *self.baselines.values())
                ),
            ]
            for name in self.metrics
        ]
        cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
        head = "".join(f"<th>{escape(name)}</th>" for name in heads)
        notes = "".join(f"<p>{escape(text)}</p>" for text in self.warnings)
        caption = f"<caption>{self.count} pairs of the split {escape(self.split)}</caption>"
        return f"<table>{caption}<tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>{notes}"

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


def short_id(data: Plain) -> str:
    """Return eight characters that stand for plain data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
class RunLength:
    """How long a training is, as its schedule is told.

    Args:
        steps: Updates of the generator in all.
        unit: How many of them are one of what the config counts in: an epoch's, or 1.
        start: The update after which the learning rate may fall, by `schedule.decay_after`.
    """

    steps: int
    unit: int = 1
    start: int = 0


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
    config: Plain
    dataset: DatasetFacts
    versions: Mapping[str, str]
    facts: Plain = field(default_factory=dict)
    resumed: bool = False


def shown_html(title: str, report: Report | None, sheet: Path | None) -> str:
    """Show a run in a notebook: its name, its scores, and its sheet of samples.

    Args:
        title: What it is.
        report: The scores, where it has any.
        sheet: The sheet, where there is one.
    """
    scores = report._repr_html_() if report is not None else "<p>It has not been scored.</p>"
    there = sheet is not None and sheet.is_file()
    inlined = base64.b64encode(sheet.read_bytes()).decode() if sheet is not None and there else ""
    picture = f'<img alt="sources, fakes and targets" src="data:image/png;base64,{inlined}">' if there else ""
    return f"<p><b>{escape(title)}</b></p>{scores}{picture}"
