"""Views of MLflow's interface, saved beside the experiment, in which runs are seen by what differs between them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from p2pkit.compare.settings import compared, differing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


TAG = "mlflow.sharedViewState."
"""The interface finds the view of an address's `viewStateShareKey` in the experiment's tag of this name."""
_MOST = 8  # charts of a kind: a tag has room for 5000 characters
_SHOWN_RUNS = 20
_DIFFERENCES, _SAMPLES = "what differs", "samples"
_SCORE = re.compile(r"(?!train/|speed/|system/)[^/]+/[^/]+")


def save_view(store: MlflowClient, experiment_id: str, key: str, search: str = "") -> None:
    """Write a view of an experiment's runs: columns and charts for what differs, their scores and sample pictures.

    Args:
        store: A client of the store.
        experiment_id: MLflow's id of the experiment.
        key: The view's name in addresses.
        search: Which runs, in MLflow's search language; all, by default.
    """
    runs = _runs(store, experiment_id, search)
    pictures = _pictures(store, runs[-1]) if runs else []
    text = json.dumps(view(runs, pictures, search), separators=(",", ":"))
    packed = "deflate;" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if store.get_experiment(experiment_id).tags.get(TAG + key) != packed:
        store.set_experiment_tag(experiment_id, TAG + key, packed)


def _runs(store: MlflowClient, experiment_id: str, search: str) -> list[Run]:
    """Return the trainings that a view shows, oldest first."""
    query = " AND ".join(filter(None, ("tags.`p2pkit.kind` = 'training'", search)))
    return list(store.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"]))


def _pictures(store: MlflowClient, run: Run) -> list[tuple[str, int]]:
    """Return the names of a run's sample pictures, each with its last step."""
    files = (file.path for file in store.list_artifacts(run.info.run_id, "images"))
    found = filter(None, (re.match(r"images/(.+?)[+%]step[+%](\d+)[+%]", file) for file in files))
    steps: dict[str, int] = {}
    for name, step in ((match[1].replace("~", "/").replace("#", "/"), int(match[2])) for match in found):
        steps[name] = max(step, steps.get(name, 0))
    return sorted(steps.items())


def view(runs: Sequence[Run], pictures: Sequence[tuple[str, int]], search: str = "") -> dict[str, Any]:
    """Return the state of MLflow's runs page that shows what differs.

    Args:
        runs: The trainings to be seen.
        pictures: Names of sample pictures, and the step at which to show them.
        search: The filter.
    """
    settings = [compared(run.data.params) for run in runs]
    keys = differing(settings)[0] if settings else ()
    scores = _scores(runs)
    numeric = [key for key in keys if all(_is_number(each.get(key)) for each in settings)]
    charts = [*_differences(keys, numeric, scores), *_samples(pictures)]
    names = dict.fromkeys(
        [*(chart["metricSectionId"] for chart in charts), *(name.rpartition("/")[0] for name in scores)]
    )
    return {
        "searchFilter": search,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*(f"params.`{key}`" for key in keys), *(f"metrics.`{name}`" for name in scores)],
        "compareRunCharts": [{"uuid": f"p2pkit-{index}", **chart} for index, chart in enumerate(charts)],
        "compareRunSections": [_part(name) for name in names],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOWALL",
    }


def _scores(runs: Sequence[Run]) -> list[str]:
    """Return the names of all scores, in the order in which the configs ask for them."""
    wanted = [name for run in runs for name in run.data.params.get("evaluate.metrics", "").split(", ")]
    names = {name for run in runs for name in run.data.metrics if _SCORE.fullmatch(name)}
    order = {name: index for index, name in reversed(list(enumerate(wanted)))}
    return sorted(names, key=lambda name: (order.get(name.rpartition("/")[2], len(wanted)), name))


def _differences(keys: Sequence[str], numeric: Sequence[str], scores: Sequence[str]) -> list[dict[str, Any]]:
    """Return parallel coordinates, each number against each score, and contours over the first two numbers."""
    if not keys or not scores:
        return []
    best = scores[0]
    charts = [
        _chart("PARALLEL", _DIFFERENCES, selectedParams=list(keys), selectedMetrics=list(scores), showAllRuns=False)
    ]
    charts += [
        _chart("SCATTER", _DIFFERENCES, xaxis=_axis("PARAM", key), yaxis=_axis("METRIC", score))
        for key in numeric
        for score in scores
    ][:_MOST]
    if len(numeric) > 1:
        first, second = (_axis("PARAM", key) for key in numeric[:2])
        charts.append(_chart("CONTOUR", _DIFFERENCES, xaxis=first, yaxis=second, zaxis=_axis("METRIC", best)))
    return charts


def _samples(pictures: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return a grid with a row for each sample and a column for each run, at the last step."""
    if not pictures:
        return []
    names = [name for name, _ in pictures[:_MOST]]
    step = max(step for _, step in pictures)
    return [_chart("IMAGE", _SAMPLES, imageKeys=names, step=step, showRunParams=False)]


def _part(name: str) -> dict[str, Any]:
    """Return a section of the page; that of the samples has one wide card."""
    shape = {"columns": 1, "cardHeight": 700} if name == _SAMPLES else {"columns": 2}
    return {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, **shape}


def _chart(kind: str, section: str, **settings: Any) -> dict[str, Any]:
    shared = {"metricSectionId": section, "deleted": False, "isGenerated": False, "runsCountToCompare": _SHOWN_RUNS}
    return {"type": kind, **shared, **settings}


def _axis(kind: str, key: str) -> dict[str, str]:
    return {"key": key, "type": kind}


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
