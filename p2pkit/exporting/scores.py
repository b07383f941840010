"""How much a program of fewer bits loses: by the run's own metrics, in bytes and in time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.data.splits import Splits
from p2pkit.engine.evaluation.evaluator import Evaluator
from p2pkit.engine.evaluation.inference_mode import InferenceMode
from p2pkit.errors import ModelError, Problem
from p2pkit.inference.companions import Input, stacked
from p2pkit.inference.translate import Translator
from p2pkit.progress import Silent
from p2pkit.types import Report

MOST = 0.05
"""The largest share of a metric that is given away without being asked."""
_ROUNDS = 3


@dataclass(frozen=True)
class Scores:
    """A program of fewer bits beside the network.

    Args:
        network: The network's scores.
        program: The program's.
        bytes: Of the network's weights and of the program's file.
        milliseconds: Of processor time for an image, by the network and by the program.
        bits: What the program computes in.
    """

    network: Report
    program: Report
    bytes: tuple[int, int]
    milliseconds: tuple[float, float]
    bits: str = "8 bits"

    def loss(self, metric: str) -> float:
        """Return which share of a metric is lost: below zero where it is better, or does not say which way is good."""
        before, after = self.network.metrics[metric], self.program.metrics[metric]
        higher = self.network.higher_is_better.get(metric)
        if higher is None:
            return 0.0
        return (before - after if higher else after - before) / max(abs(before), 1e-12)

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield what is compared, what the network has, what the program has, and by how much that is more."""
        for metric, before in self.network.metrics.items():
            after = self.program.metrics[metric]
            yield (
                self.network.head(metric),
                f"{before:.4g}",
                f"{after:.4g}",
                f"{after / before - 1:+.2%}" if before else "",
            )
        for name, unit, (before, after) in (
            ("file", "MB", (self.bytes[0] / 1e6, self.bytes[1] / 1e6)),
            ("processor time an image", "ms", self.milliseconds),
        ):
            yield name, f"{before:.3g} {unit}", f"{after:.3g} {unit}", f"{after / before - 1:+.0%}"

    def require(self) -> None:
        """Make sure that no metric loses more than is given away without being asked.

        Raises:
            ModelError: One does.
        """
        losses = {metric: self.loss(metric) for metric in self.network.metrics}
        if lost := {metric: loss for metric, loss in losses.items() if not loss <= MOST}:
            told = ", ".join(f"{metric} by {loss:.1%}" for metric, loss in lost.items())
            cause = f"in {self.bits} the model is worse on {self.network.count} pairs of {self.network.split}: {told}"
            raise ModelError(
                Problem("--precision", f"{cause}; {MOST:.0%} is taken", "export in more bits, or say --force")
            )


def compare(
    checked: ValidatedRun, translator: Translator, program: nn.Module, size: int, example: Input, bits: str
) -> Scores:
    """Score a program beside the network that it is of.

    Args:
        checked: The run, whose split and metrics are used.
        translator: The network.
        program: The program.
        size: Bytes of its file.
        example: What both are given to be timed.
        bits: What the program computes in.
    """
    splits = Splits(checked, Silent())
    splits.read(checked.split)
    loader = splits.loader(checked.split, translator.place, checked.plan.config.evaluate.batch)
    batch_norm = "batch" if translator.batch_norm == "batch" else "running"  # those gathered anew are in place

    def score(generator: nn.Module, mode: InferenceMode) -> Report:
        with tempfile.TemporaryDirectory() as temporary:
            return Evaluator(checked, loader, mode=mode)(generator, Path(temporary, "sheet.png"))[0]

    planes, vectors = stacked([example])
    by_program = replace(translator, generator=program, batch_norm="running")
    return Scores(
        score(translator.generator, InferenceMode(batch_norm)),
        score(program, InferenceMode()),
        (sum(weight.nbytes for weight in translator.generator.parameters()), size),
        (
            _milliseconds(lambda: translator.network_values(planes, vectors)),
            _milliseconds(lambda: by_program.network_values(planes, vectors)),
        ),
        bits,
    )


def _milliseconds(act: Callable[[], object]) -> float:
    """Return the processor time of something, the least of some rounds after one that does not count."""
    act()
    taken = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        act()
        taken.append(time.process_time() - begun)
    return min(taken) * 1000
