"""Metrics of a run: what they are given, how their values are read, and what the values depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from p2pkit.components import Metric
from p2pkit.config import Part
from p2pkit.engine.data.loader import Batch
from p2pkit.extras.values import where_it_counts
from p2pkit.types import PairMetric, PairSpec, optional
from p2pkit.untyped import Json

Predict = Callable[..., Tensor]
"""Makes fakes of sources, with extras by name."""
Pairs = Iterable[Batch]


def metric_inputs(metric: PairMetric) -> tuple[str, ...]:
    """Return what a metric's `update` takes."""
    return tuple(optional.wants(metric))


def needs_several_fakes(metric: PairMetric) -> bool:
    """Tell whether a metric wants several fakes of each source."""
    return "fakes" in metric_inputs(metric)


def scored(images: PairSpec) -> PairSpec:
    """Return what metrics are given of a run's images: of volumes their slices, each an image of its own."""
    return replace(images, depth=0)


def as_images(batch: Tensor) -> Tensor:
    """Return the slices of volumes as images, one after another; images as they are.

    Shape: (B, C, D, H, W) -> (B * D, C, H, W).
    """
    return batch.movedim(2, 1).flatten(0, 1) if batch.ndim > 4 else batch


def score(metrics: Mapping[str, PairMetric], pairs: Pairs, predict: Predict, mask: str = "") -> dict[str, float]:
    """Score what a function makes of sources.

    Args:
        metrics: The metrics by name; they begin anew.
        pairs: Batches of sources and targets, and of what stands beside them.
        predict: Makes a fake of each source; another one in each call where noise is on.
        mask: Which extra says what counts; empty where all does.

    Returns:
        The values by name.

    Shape: images (B, C, H, W), volumes (B, C, D, H, W), in [-1, 1].
    """
    for metric in metrics.values():
        metric.reset()
    for batch in pairs if metrics else ():
        update_metrics(metrics, batch.source, batch.target, predict, batch.extras, mask)
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        values |= values_of(name, metric)
    return values


def update_metrics(
    metrics: Mapping[str, PairMetric],
    source: Tensor,
    target: Tensor,
    predict: Predict,
    extras: Mapping[str, Tensor] | None = None,
    mask: str = "",
) -> None:
    """Count a batch in.

    Args:
        metrics: Those that are counted; the generator is asked only for what they read.
        source: The batch's sources.
        target: Its targets.
        predict: Makes fakes of sources; with dropout or noise, others each time.
        extras: By name what stands beside the images.
        mask: Which of them says what counts.
    """
    beside = extras or {}

    def fakes() -> Tensor:
        made = predict(source, **beside)
        return as_images(where_it_counts(made, target, beside[mask]) if mask else made)

    names = {name for metric in metrics.values() for name in metric_inputs(metric)}
    offered = {"source": as_images(source), "target": as_images(target)}
    if "fake" in names:
        offered["fake"] = fakes()
    if "fakes" in names:
        most = max(optional.fakes(metric) for metric in metrics.values() if needs_several_fakes(metric))
        offered["fakes"] = torch.stack([fakes() for _ in range(most)], 1)
    for metric in metrics.values():
        given = (
            {**offered, "fakes": offered["fakes"][:, : optional.fakes(metric)]}
            if needs_several_fakes(metric)
            else offered
        )
        metric.update(*(given[name].contiguous() for name in metric_inputs(metric)))  # some metrics flatten by view


def values_of(name: str, metric: PairMetric) -> dict[str, float]:
    """Return a metric's value under its name, or its several values under theirs."""
    value = metric.compute()
    if isinstance(value, Mapping):
        return {f"{name}/{key}": float(item) for key, item in value.items()}
    return {name: float(value)}


def own_protocol(part: Part, metric: PairMetric) -> dict[str, Json]:
    """Return what a metric's value depends on, beside the images: parameters where they are not the defaults.

    Args:
        part: Where it comes from.
        metric: The metric; what it states itself goes over its parameters.
    """
    component = part.component
    assert isinstance(component, Metric)
    stated = dict(optional.protocol(metric))
    params = {name: value for name, value in part.resolved()["params"].items() if name not in stated}
    fixed = {name for name, info in component.parameters.model_fields.items() if params.get(name) == info.default}
    files = {name for name, value in params.items() if isinstance(value, str) and Path(value).is_absolute()}
    left = {f"params.{name}": value for name, value in params.items() if name not in fixed | files}
    return {"metric": part.component.full_name, "version": component.version, **left, **stated}
