"""Metrics of a run: what they are given, how their values are read, and what the values depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2pkit.components import Metric
from p2pkit.config import Part

Predict = Callable[[Tensor], Tensor]
Pairs = Iterable[tuple[Tensor, Tensor]]
OFFERED = ("source", "target", "fake", "fakes")
"""What a metric may want."""


def metric_inputs(metric: Any) -> tuple[str, ...]:
    """Return what a metric's `update` takes."""
    return tuple(getattr(metric, "wants", ("fake", "target")))


def needs_several_fakes(metric: Any) -> bool:
    """Tell whether a metric wants several fakes of each source."""
    return "fakes" in metric_inputs(metric)


def score(metrics: Mapping[str, Any], pairs: Pairs, predict: Predict) -> dict[str, float]:
    """Score what a function makes of sources.

    Args:
        metrics: The metrics by name; they begin anew.
        pairs: Batches of sources and targets.
        predict: Makes a fake of each source; another one in each call where noise is on.

    Returns:
        The values by name.

    Shape: images (B, C, H, W) in [-1, 1].
    """
    for metric in metrics.values():
        metric.reset()
    for source, target in pairs if metrics else ():
        update_metrics(metrics, source, target, predict)
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        values |= values_of(name, metric)
    return values


def update_metrics(metrics: Mapping[str, Any], source: Tensor, target: Tensor, predict: Predict) -> None:
    """Count a batch in."""
    names = {name for metric in metrics.values() for name in metric_inputs(metric)}
    offered = {"source": source, "target": target}
    if "fake" in names:
        offered["fake"] = predict(source)
    if "fakes" in names:
        most = max(metric.fakes for metric in metrics.values() if needs_several_fakes(metric))
        offered["fakes"] = torch.stack([predict(source) for _ in range(most)], 1)
    for metric in metrics.values():
        given = {**offered, "fakes": offered["fakes"][:, : metric.fakes]} if needs_several_fakes(metric) else offered
        metric.update(*(given[name].contiguous() for name in metric_inputs(metric)))  # some metrics flatten by view


def values_of(name: str, metric: Any) -> dict[str, float]:
    """Return a metric's value under its name, or its several values under theirs."""
    value = metric.compute()
    several = value.items() if isinstance(value, Mapping) else ()
    return {f"{name}/{key}": float(item) for key, item in several} or {name: float(value)}


def own_protocol(part: Part, metric: Any) -> dict[str, Any]:
    """Return what a metric's value depends on, beside the images: parameters where they are not the defaults.

    Args:
        part: Where it comes from.
        metric: The metric; what it states itself goes over its parameters.
    """
    component = part.offer.component
    assert isinstance(component, Metric)
    stated = dict(getattr(metric, "protocol", {}))
    params = {name: value for name, value in part.resolved()["params"].items() if name not in stated}
    fixed = {name for name, info in component.parameters.model_fields.items() if params.get(name) == info.default}
    files = {name for name, value in params.items() if isinstance(value, str) and Path(value).is_absolute()}
    left = {f"params.{name}": value for name, value in params.items() if name not in fixed | files}
    return {"metric": part.offer.full_name, "version": component.version, **left, **stated}
