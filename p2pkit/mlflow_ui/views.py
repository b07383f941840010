"""Views of MLflow's interface, saved beside the experiment, in which runs are seen by what differs between them.

The tag and its form are MLflow's own and no promise of its: they are as its interface of version 3.17.2 reads them,
and tests/browser looks at them there. Nothing else in p2pkit knows of them.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from p2pkit.compare.settings import Settings, compared, differing
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


TAG = "mlflow.sharedViewState."
"""The interface finds the view of an address's `viewStateShareKey` in the experiment's tag of this name."""
TRAININGS = "tags.`p2pkit.kind` = 'training'"
_MOST = 8  # charts of a kind: a tag has room for 5000 characters
_SHOWN_RUNS = 20
_DIFFERENCES, _SHARES, _SAMPLES = "what differs", "gradient shares", "samples"
_SCORE = re.compile(r"(?!train/|speed/|system/|health/)([^/]+)/(?!gain_percent/|baseline_)(.+)")
_SHARE = "train/gradient_share/"
_SPEED, _SIZES = "speed/images_per_second", ("size.generator", "size.discriminator")

Curves = Mapping[str, Sequence[float]]
"""For each score, what trained networks reached in all runs: values at steps above 0."""


def save_view(
    store: MlflowClient, experiment_id: str, key: str, search: str = TRAININGS, *, means: bool = False
) -> bool:
    """Write a view of an experiment's runs: columns and charts for what differs, their scores and sample pictures.

    Args:
        store: A client of the store.
        experiment_id: MLflow's id of the experiment.
        key: The view's name in addresses.
        search: Which runs, in MLflow's search language; the trainings, by default.
        means: Whether runs that differ in nothing but the seed are drawn as their mean.

    Returns:
        Whether there are such runs.
    """
    runs = _runs(store, experiment_id, search)
    fill_terms(store, runs)
    pictures = _pictures(store, runs[-1]) if runs else []
    state = view(runs, pictures, search, _curves(store, runs), means=means)
    text = json.dumps(state, separators=(",", ":"))
    packed = "deflate;" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if store.get_experiment(experiment_id).tags.get(TAG + key) != packed:
        store.set_experiment_tag(experiment_id, TAG + key, packed)
    return len({run.data.params.get("engine.seed") for run in runs}) > 1


def fill_terms(store: MlflowClient, runs: Sequence[Run]) -> None:
    """Say of each run that a term which only others have weighs 0 in it: MLflow draws no line with a gap, nor a bar.

    So does the share that a term of weight 0 has of the gradient.
    """
    weights = {key for run in runs for key in run.data.params if re.fullmatch(r"losses\.[^.]+\.weight", key)}
    for run in runs:
        for key in sorted(weights - set(run.data.params)):
            with suppress(Exception):  # a store that may only be read shows what it has
                store.log_param(run.info.run_id, key, 0)
                run.data.params[key] = "0"
        for share in _named(runs, _SHARE):
            weight = run.data.params.get(f"losses.{share.removeprefix(_SHARE)}.weight")
            if share not in run.data.metrics and _is_number(weight) and float(str(weight)) == 0:
                with suppress(Exception):
                    store.log_metric(run.info.run_id, share, 0)
                    run.data.metrics[share] = 0


def _runs(store: MlflowClient, experiment_id: str, search: str) -> list[Run]:
    """Return the trainings that a view shows, oldest first."""
    query = " AND ".join(dict.fromkeys((TRAININGS, search)))
    return list(store.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"]))


def _curves(store: MlflowClient, runs: Sequence[Run]) -> dict[str, list[float]]:
    """Read how the scores went, of as many runs as are drawn, the untrained network's left out."""
    return {
        score: [
            point.value
            for run in runs[-_SHOWN_RUNS:]
            if score in run.data.metrics
            for point in store.get_metric_history(run.info.run_id, score)
            if point.step > 0
        ]
        for score in _scores(runs)[:_MOST]
    }


def _pictures(store: MlflowClient, run: Run) -> list[tuple[str, int]]:
    """Return the names of a run's sample pictures, each with its last step."""
    files = (file.path for file in store.list_artifacts(run.info.run_id, "images"))
    found = filter(None, (re.match(r"images/(.+?)[+%]step[+%](\d+)[+%]", file) for file in files))
    steps: dict[str, int] = {}
    for name, step in ((match[1].replace("~", "/").replace("#", "/"), int(match[2])) for match in found):
        steps[name] = max(step, steps.get(name, 0))
    return sorted(steps.items())


def view(
    runs: Sequence[Run],
    pictures: Sequence[tuple[str, int]],
    search: str = TRAININGS,
    curves: Curves | None = None,
    *,
    means: bool = False,
) -> dict[str, Json]:
    """Return the state of MLflow's runs page that shows what differs.

    Args:
        runs: The trainings to be seen.
        pictures: Names of sample pictures, and the step at which to show them.
        search: The filter.
        curves: What trained networks reached, from which the ranges of the charts over steps follow.
        means: Whether runs that differ in nothing but the seed are drawn as their mean.
    """
    settings = [compared(run.data.params) for run in runs]
    keys = differing(settings)[0] if settings else ()
    scores = _scores(runs)
    shares = _named(runs, _SHARE)
    sections = {
        _DIFFERENCES: _differences(keys, settings, scores, runs),
        _SHARES: [_chart("BAR", metricKey=share) for share in shares[:_MOST]] if keys else [],
        _SAMPLES: _samples(pictures),
        **_over_steps(scores, curves or {}),
    }
    charts = [{"metricSectionId": name, **chart} for name, found in sections.items() for chart in found]
    names = dict.fromkeys([*(name for name, found in sections.items() if found), *map(_section, scores)])
    sizes = _sizes(keys, runs)
    speeds = _named(runs, _SPEED) if sizes else []
    columns = [f"params.`{key}`" for key in (*keys, *sizes)] + [f"metrics.`{name}`" for name in (*scores, *speeds)]
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": key} for key in keys]}
    return {
        "searchFilter": search,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "compareRunCharts": [{"uuid": f"p2pkit-{index}", **chart} for index, chart in enumerate(charts)],
        "compareRunSections": [_part(name) for name in names],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": grouped if means and keys else None,
    }


def _named(runs: Sequence[Run], prefix: str) -> list[str]:
    """Return all metrics of a branch, as they come."""
    return list(dict.fromkeys(name for run in runs for name in run.data.metrics if name.startswith(prefix)))


def _section(score: str) -> str:
    return score.rpartition("/")[0]


def _scores(runs: Sequence[Run]) -> list[str]:
    """Return the names of what the configs ask for and all runs have; a metric's several values as the metric comes."""
    wanted = [name for run in runs for name in run.data.params.get("evaluate.metrics", "").split(", ")]
    order = {name: index for index, name in reversed(list(enumerate(wanted)))}
    places = {}
    for name in dict.fromkeys(name for run in runs for name in run.data.metrics):
        match = _SCORE.fullmatch(name)
        metric = match and next((each for each in order if match[2] == each or match[2].startswith(f"{each}/")), None)
        if metric is not None:
            places[name] = order[metric]
    return sorted(places, key=lambda name: (places[name], name))


def _sizes(keys: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Return the networks' sizes where they say something: where networks are what differs."""
    return [size for size in _SIZES if size not in keys and len({run.data.params.get(size) for run in runs}) > 1]


def _differences(
    keys: Sequence[str], settings: Sequence[Settings], scores: Sequence[str], runs: Sequence[Run]
) -> list[dict[str, Json]]:
    """Return parallel coordinates; scores against numbers, or as bars and against the size of networks; contours."""
    if not keys or not scores:
        return []
    whole = [score for score in scores if all(score in run.data.metrics for run in runs)] or list(scores)
    charts = [_chart("PARALLEL", selectedParams=list(keys), selectedMetrics=whole[:_MOST], showAllRuns=False)]
    numeric = [key for key in keys if all(_is_number(each.get(key)) for each in settings)]
    if len(numeric) < len(keys):
        charts += [_chart("BAR", metricKey=name) for name in (*scores[: _MOST - 1], *_named(runs, _SPEED))]
        numeric = [*_sizes(keys, runs), *numeric]
    charts += [
        _chart("SCATTER", xaxis=_axis("PARAM", key), yaxis=_axis("METRIC", score))
        for key in numeric
        for score in scores
    ][:_MOST]
    chosen = [key for key in numeric if key in keys]
    if len(chosen) > 1:
        first, second = (_axis("PARAM", key) for key in chosen[:2])
        charts.append(_chart("CONTOUR", xaxis=first, yaxis=second, zaxis=_axis("METRIC", scores[0])))
    return charts


def _over_steps(scores: Sequence[str], curves: Curves) -> dict[str, list[dict[str, Json]]]:
    """Return each score over the steps, by section, with a range that leaves the untrained network's out."""
    sections: dict[str, list[dict[str, Json]]] = {}
    for score in scores[:_MOST]:
        values = [value for value in curves.get(score, ()) if math.isfinite(value)]
        if len(values) > 1 and min(values) < max(values):
            margin = 0.05 * (max(values) - min(values))
            span = {"yMin": _rounded(min(values) - margin), "yMax": _rounded(max(values) + margin)}
            raw = {
                "lineSmoothness": 0,
                "useGlobalLineSmoothing": True,
            }  # left out, lines end elsewhere than at the score
            sections.setdefault(_section(score), []).append(_chart("LINE", metricKey=score, range=span, **raw))
    return sections


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _samples(pictures: Sequence[tuple[str, int]]) -> list[dict[str, Json]]:
    """Return a grid with a row for each sample and a column for each run, at the last step."""
    if not pictures:
        return []
    names = [name for name, _ in pictures[:_MOST]]
    step = max(step for _, step in pictures)
    return [_chart("IMAGE", imageKeys=names, step=step, showRunParams=False)]


def _part(name: str) -> dict[str, Json]:
    """Return a section of the page; that of the samples has one wide card."""
    shape = {"columns": 1, "cardHeight": 700} if name == _SAMPLES else {"columns": 2}
    return {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, **shape}


def _chart(kind: str, **settings: Json) -> dict[str, Json]:
    shared = {"deleted": False, "isGenerated": False, "runsCountToCompare": _SHOWN_RUNS}
    return {"type": kind, **shared, **settings}


def _axis(kind: str, key: str) -> dict[str, str]:
    return {"key": key, "type": kind}


def _is_number(text: Json) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
