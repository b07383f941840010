"""What a run is called in MLflow, its colour there, and the description that its page begins with."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from p2pkit import Report, Run
from p2pkit.untyped import Plain

if TYPE_CHECKING:
    from mlflow import MlflowClient

TITLE, PLACE = "p2pkit.title", "p2pkit.place"
COLOUR, DESCRIPTION = "mlflow.runColor", "mlflow.note.content"
_GOLDEN = 0.381966  # steps of this share of a circle never come near each other


def run_name(run: Run, evaluates: str | None = None) -> str:
    """Return what differs, shortly, for a run of a sweep; of an evaluation which run, how; else the folder's name.

    Args:
        run: The run.
        evaluates: What the training is called that an evaluation scores.
    """
    if run.kind == "evaluation":
        mode = run.config["evaluate"]
        how = f"{mode['split']}, batch norm {mode['batch_norm']}, dropout {mode['dropout']}"
        return f"{evaluates or run.name.partition('-')[0]} ({how})"
    if run.kind == "training":
        return str(run.config["tracking"]["tags"].get(TITLE) or run.name)
    return run.name


def colour(place: int, shade: int = 0) -> str:
    """Return a colour that can be told from those of other places; shades of one place are lighter and darker."""
    lightness = (0.42, 0.58, 0.34, 0.68)[shade % 4]
    channels = colorsys.hls_to_rgb((0.58 + _GOLDEN * place) % 1, lightness, 0.65)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def colour_tag(client: MlflowClient, experiment_id: str, run: Run) -> dict[str, str]:
    """Return the tag with a training's colour: by its place in a sweep, else another than the latest run's."""
    if run.kind != "training":
        return {}
    own = run.config["tracking"]["tags"].get(PLACE)
    place = int(own) if own is not None else _places_before(client, experiment_id)
    return {COLOUR: colour(place, int(run.config["engine"]["seed"])), PLACE: str(place)}


def _places_before(client: MlflowClient, experiment_id: str) -> int:
    query, order = f"tags.`{PLACE}` != ''", ["attributes.start_time DESC"]
    latest = client.search_runs([experiment_id], query, order_by=order, max_results=1)
    return int(latest[0].data.tags[PLACE]) + 1 if latest else 0


def about(config: Plain) -> str:
    """Return the recipe's own words."""
    return "\n\n".join(filter(None, (config["summary"], config["origin"])))


def description(run: Run, run_id: str, step: int, report: Report, sheet: Path) -> str:
    """Write a run's description in Markdown: scores, the sheet as a picture, and the recipe's words after them.

    Args:
        run: The run.
        run_id: MLflow's id of it, under which the picture is found.
        step: When it was scored.
        report: The scores.
        sheet: The sheet's file, an artifact in `samples`.
    """
    heads = ["", report.split, *(f"{name} {'itself' if name == 'source' else 'target'}" for name in report.baselines)]
    heads += ["better by"] if report.baselines else []
    rows = [heads, ["---", *["--:"] * (len(heads) - 1)], *(_row(report, name) for name in report.metrics)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    where = urlencode({"path": f"samples/{sheet.name}", "run_uuid": run_id})
    picture = f"![source, fake and target of held-out pairs](get-artifact?{where})"
    said = f"Step {step}, {report.count} pairs."
    return "\n\n".join(filter(None, (table, picture, said, about(run.config))))


def _row(report: Report, name: str) -> list[str]:
    baselines = [f"{scores[name]:.4f}" if name in scores else "" for scores in report.baselines.values()]
    gain = [f"{report.gains[name]:+.1%}" if name in report.gains else ""] if report.baselines else []
    return [report.head(name), f"{report.metrics[name]:.4f}", *baselines, *gain]
