"""One checkpoint in every mode that a generator can be run in, on held-out and on training pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch

from p2pkit.api import EvaluatedRun, evaluate, prepared
from p2pkit.engine.checked import ValidatedRun
from p2pkit.engine.distributed.world import world
from p2pkit.engine.evaluation.inference_mode import InferenceMode, available_modes
from p2pkit.engine.storage.checkpoint import keep_mode
from p2pkit.errors import ModelError, Problem
from p2pkit.registry import Registry, names_in_force
from p2pkit.untyped import Json


@dataclass(frozen=True)
class Survey:
    """What came of evaluating a checkpoint in several ways.

    Args:
        checkpoint: The checkpoint.
        split: The split that the modes are judged by.
        runs: For each mode and split, its evaluation.
        kept: The mode that was written into the checkpoint, if one was.
    """

    checkpoint: Path
    split: str
    runs: Mapping[tuple[InferenceMode, str], EvaluatedRun]
    kept: InferenceMode | None = None

    @property
    def modes(self) -> tuple[InferenceMode, ...]:
        """The modes, in the order in which they were tried."""
        return tuple(dict.fromkeys(mode for mode, _ in self.runs))

    def best(self, metric: str) -> InferenceMode:
        """Return the mode that a metric likes best.

        Raises:
            ModelError: There is no such metric, or it does not say which direction is good.
        """
        report = next(run.report for (_, split), run in self.runs.items() if split == self.split)
        higher = report.higher_is_better.get(metric)
        if higher is None:
            known = ", ".join(name for name, higher in report.higher_is_better.items() if higher is not None)
            raise ModelError(Problem(metric, "no metric of that name says what is better", f"there are: {known}"))
        scores = {mode: run.report.metrics[metric] for (mode, split), run in self.runs.items() if split == self.split}
        return (max if higher else min)(scores, key=lambda mode: scores[mode])


def survey(
    model: str | Path,
    *,
    modes: bool = True,
    gap: bool = False,
    keep: str | None = None,
    split: str | None = None,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
    strict: bool = False,
    trust: bool = False,
    **overrides: Json,
) -> Survey:
    """Score a trained generator in every mode it can be run in, each as an evaluation of its own.

    Modes that would make no difference are left out: a network without batch norm has no statistics to choose.

    Args:
        model: A run's folder or name, a tracker's name of it, or a checkpoint.
        modes: Whether to try all modes, and not only the checkpoint's own.
        gap: Whether to score the training pairs too, as they are in evaluations: not augmented.
        keep: The metric whose best mode is written into the checkpoint, for whoever uses it later.
        split: The part of the data; by default the one the run was evaluated on.
        registry: The names in force.
        plugins: One-file plugins to load beside those of this environment.
        progress: Whether to show how it comes along.
        strict: Whether a plugin that fails ends the evaluation.
        trust: Whether one-file plugins that the model brings along, and that are none of yours, may be run.
        **overrides: Keys to change, as in `p2pkit.evaluate`.

    Returns:
        All scores; the baselines, which are the same for all modes, are left out.

    Raises:
        ModelError: There is nothing to hold training pairs against, or no such metric.
    """
    registry = names_in_force(registry, plugins, trust=trust)
    checkpoint, checked = prepared(model, split, registry, {**overrides, "evaluate.baselines": False})
    if gap and (checked.split == "train" or "train" not in checked.dataset.splits):
        raise ModelError(Problem("", "a gap needs a split train and a held-out one", "name the other by --split"))
    splits = (checked.split, "train") if gap else (checked.split,)
    runs = {}
    for mode, part in product(_modes(checked) if modes else [_own(checked)], splits):
        keys = {f"evaluate.{key}": value for key, value in asdict(mode).items()} | {"evaluate.baselines": False}
        found = evaluate(
            checkpoint, split=part, registry=registry, progress=progress, strict=strict, **{**overrides, **keys}
        )
        runs[mode, part] = found
        if keep is not None:
            Survey(checkpoint, checked.split, runs).best(keep)  # a name that is wrong is told before the other modes
    result = Survey(checkpoint, checked.split, runs)
    return _keep(result, keep) if keep is not None else result


def _own(checked: ValidatedRun) -> InferenceMode:
    config = checked.plan.config.evaluate
    return InferenceMode(config.batch_norm, config.dropout)


def _modes(checked: ValidatedRun) -> list[InferenceMode]:
    with torch.device("meta"):
        generator = checked.generator.build(checked.spec)
    found = available_modes(generator)
    return [mode for mode in found if mode.batch_norm != "recalibrated" or "train" in checked.dataset.splits]


def _keep(result: Survey, metric: str) -> Survey:
    mode = result.best(metric)
    if world().main:
        gathered = result.runs[mode, result.split].folder if mode.batch_norm == "recalibrated" else None
        keep_mode(result.checkpoint, asdict(mode), gathered)
    return Survey(result.checkpoint, result.split, result.runs, mode)
