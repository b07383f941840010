"""How results look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from p2pkit.cli.fitting import Grid, marked, plain_console
from p2pkit.compare import Comparison
from p2pkit.compare.published import beside_published, table_beside_published
from p2pkit.compare.records import directions
from p2pkit.doctor.finding import Finding
from p2pkit.engine.storage.costs import cost
from p2pkit.evaluate_modes import Survey
from p2pkit.exporting.scores import Scores
from p2pkit.sweep import Sweep
from p2pkit.types import Report
from p2pkit.types.runs import ARROWS
from p2pkit.untyped import Plain

_MARKS = {"fine": Text("ok", "green"), "note": Text("note", "yellow"), "broken": Text("broken", "red")}
_PIPED = 500  # a table in Markdown must not be wrapped in a file


def print_report(report: Report) -> None:
    """Print the metrics beside their baselines, and how much better than the better one the fakes are."""
    heads = ["metric", "fake"]
    heads += [f"{name} itself" if name == "source" else f"{name} target" for name in report.baselines]
    heads += ["better by"] if report.baselines else []
    heads += ["target itself"] if report.ground_truth else []
    others = [*report.baselines.values(), *([report.ground_truth] if report.ground_truth else [])]
    rows = []
    for name, value in report.metrics.items():
        cells = [f"{scores[name]:.4f}" if name in scores else "" for scores in others]
        gain = report.gains.get(name)
        if report.baselines:
            cells.insert(len(report.baselines), f"{gain:+.1%}" if gain is not None else "")
        rows.append([report.head(name), f"{value:.4f}", *cells, report.protocol_ids.get(name, "")])
    title = f"{report.count} pairs of split {report.split}"
    console = plain_console()
    Grid([*heads, "protocol"], rows, title=title).print(console)
    for warning in report.warnings:
        console.print(marked("warning", "yellow", warning), soft_wrap=True)


def print_scores(scores: Scores) -> None:
    """Print what a program loses beside the network."""
    title = f"{scores.network.count} pairs of split {scores.network.split}"
    Grid(["", "network", scores.bits, ""], [list(row) for row in scores.rows()], title=title).print(plain_console())


def print_survey(survey: Survey) -> None:
    """Print the scores of each mode, on held-out and training pairs side by side; the best of a column in bold."""
    reports = {key: run.report for key, run in survey.runs.items()}
    splits = list(dict.fromkeys(split for _, split in reports))
    first = next(iter(reports.values()))
    columns = [(name, split) for name in first.metrics for split in splits]
    heads = [f"{first.head(name)}\n{split}" for name, split in columns]
    rows = []
    best = {name: survey.best(name) for name, higher in first.higher_is_better.items() if higher is not None}
    for mode in survey.modes:
        values = [
            (best.get(name) == mode and split == survey.split, reports[mode, split], name) for name, split in columns
        ]
        cells = [Text(f"{r.metrics[n]:.4f}", style="bold" if wins else "") for wins, r, n in values]
        rows.append([Text(mode.batch_norm), Text(mode.dropout), *cells])
    console = plain_console()
    Grid(["batch norm", "dropout", *heads], rows, names=2, title=f"{survey.checkpoint}").print(console)
    for warning in dict.fromkeys(warning for report in reports.values() for warning in report.warnings):
        console.print(marked("warning", "yellow", warning), soft_wrap=True)
    if survey.kept is not None:
        console.print(f"kept in the checkpoint: batch_norm {survey.kept.batch_norm}, dropout {survey.kept.dropout}")


def _how(row: Plain) -> str:
    """Say how a benchmark's variant computed."""
    marks = {
        "products": row["convolutions"] == "products",
        "channels_last": row["channels_last"],
        "compiled": row["compile"],
        "graph": row["cuda_graph"] == "active",
    }
    return " ".join((row["precision"], *(mark for mark, holds in marks.items() if holds)))


def print_bench(measured: Plain) -> None:
    """Print the rates, how they compare, and where a step's time goes."""
    console = plain_console()
    machine = measured["machine"]
    console.print(
        f"{machine['device']}, {machine['processor']}, {machine['threads']} threads, torch {machine['torch']}"
    )
    for precision, rate in measured["ceiling_tflops"].items():
        console.print(f"ceiling {precision}: {rate:.3g} TFLOP/s (a large matrix product, or a large convolution)")
    heads = ["batch", "variant", "precision", "images/s", "from .. to", "ratio", "TFLOP/s", "of ceiling", "peak GB"]
    rows = []
    for row in measured["rows"]:
        spread = " .. ".join(map(_rate, row["spread"]))
        shares = [f"{row['ratio']:.2f}", f"{row['tflops']:.3g}", f"{row['share_of_ceiling']:.0%}"]
        shares.append(f"{row['peak_memory_bytes'] / 1e9:.2f}")
        rate = _rate(row["images_per_second"])
        rows.append([str(row["batch"]), row["variant"], _how(row), rate, spread, *shares])
    Grid(heads, rows, names=3).print(console)
    for row in (row for row in measured["rows"] if "parts" in row):
        parts = "  ".join(f"{name.replace('_', ' ')} {_rate(1e3 * value)}" for name, value in row["parts"].items())
        how = f"{row['precision']}, not captured" if "idle" in row["parts"] else row["precision"]
        console.print(f"batch {row['batch']}, {how}, a step in ms: {parts}", soft_wrap=True)
    if "loader" in measured:
        loader = measured["loader"]
        ours, theirs = loader["images_per_second"]["p2pkit"], loader["images_per_second"]["decode_each"]
        console.print(
            f"loader: {ours:.0f} images/s from the cache (decoded once in {loader['decode_once_seconds']:.1f} s), "
            f"{theirs:.0f} decoding each by {loader['workers']} workers, ratio {loader['ratio']:.1f}",
            soft_wrap=True,
        )


def print_rates(measured: Plain, what: str) -> None:
    """Print a row for each variant, with every figure that it has."""
    console = plain_console()
    machine = measured["machine"]
    console.print(
        f"{machine['device']}, {machine['processor']}, {machine['threads']} threads, torch {machine['torch']}"
    )
    about = {key: value for key, value in measured.items() if key not in ("machine", "rows")}
    console.print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about.items()), soft_wrap=True)
    further = [key for key in _FURTHER if any(key in row for row in measured["rows"])]
    rows = []
    for row in measured["rows"]:
        figures = [_figure(key, row[key]) if key in row else "" for key in further]
        spread = " .. ".join(map(_rate, row["spread"]))
        rows.append([row["variant"], _rate(row[f"{what}_per_second"]), spread, f"{row['ratio']:.2f}", *figures])
    Grid(["variant", f"{what}/s", "from .. to", "ratio", *map(_FURTHER.__getitem__, further)], rows).print(console)


def _rate(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


_FURTHER = {
    "largest_difference": "largest difference",
    "still_ms": "stands still, ms",
    "still_processor_ms": "of it processor ms",
    "whole_ms": "until on disk, ms",
    "processor_ms": "processor ms",
    "p50_ms": "p50 in ms",
    "p99_ms": "p99 in ms",
    "bytes": "on disk",
    "written_per_second": "written/s",
    "memory_before": "memory before",
    "peak_memory": "peak memory",
    "mapped_before": "mapped before",
    "peak_mapped": "peak mapped",
}


def _figure(key: str, value: float) -> str:
    plain = key.endswith("_ms") or key in ("largest_difference", "written_per_second")
    return f"{value:,.0f}" if plain else f"{value / 1e6:,.0f} MB"


def print_sweep(swept: Sweep) -> None:
    """Print mean and spread of each metric for each point, the runs that failed, and where the sheet is."""
    from p2pkit.mlflow_ui.page import way_to

    rows = swept.table()
    names = list(dict.fromkeys(key for row in rows for key in row if key not in ("label", "runs", "pruned")))
    names = [name for name in names if not name.endswith("_spread")]
    costs = swept.costs()
    spends = list(dict.fromkeys(name for found in costs.values() for name in found))
    cells = []
    for row in rows:
        spreads = {name: f" ± {row[f'{name}_spread']:.4f}" if row["runs"] > 1 else "" for name in names}
        scores = [f"{row[name]:.4f}{spreads[name]}" if name in row else "" for name in names]
        spent = [cost(name, value) if (value := costs[row["label"]].get(name)) else "" for name in spends]
        runs = f"{row['runs'] or ''} {row['pruned']} pruned".strip() if "pruned" in row else str(row["runs"])
        cells.append([row["label"], runs, *scores, *spent])
    console = plain_console()
    higher = directions(swept.finished)
    titles = [f"{name}{ARROWS[higher.get(name)]}" for name in names]
    Grid(["point", "runs", *titles, *spends], cells, title=f"{swept.folder}").print(console)
    for child in swept.children:
        if child.state == "failed":
            console.print(marked("failed", "red", f"{child.name}: {child.error}"), soft_wrap=True)
    beside = beside_published(swept.published, rows, swept.finished)
    published = table_beside_published(swept.published, beside)
    if published:
        console.print(f"\n{published}", soft_wrap=True, highlight=False)
    best = swept.best
    if best is not None and len(rows) > 1:
        console.print(f"best     {best['label']} by {swept.goal}", soft_wrap=True, highlight=False)
    if swept.front:
        console.print(f"front    {'; '.join(swept.front)}", soft_wrap=True, highlight=False)
    for title, file in (("sheet", swept.sheet), ("page", swept.page)):
        if file.is_file():
            console.print(f"{title:<8} {file}", soft_wrap=True, highlight=False)
    way = way_to([str(swept.folder)], [swept.folder])
    if way is not None:
        console.print(f"mlflow   {way}", soft_wrap=True, highlight=False)


def print_comparison(compared: Comparison) -> None:
    """Print what differs and the scores as a table in Markdown, the best of each column marked."""
    table = compared.table
    heads = table.settings or ("point",)
    rows = [
        [*(row.settings or (row.label,)), str(len(row.seeds)), *(_bold(*score) for score in row.scores), *row.costs]
        for row in table.rows
    ]
    labels = [row.label for row in table.rows]
    titles = [*heads, "runs", *table.metrics, *table.costs]
    grid = Grid(titles, rows, names=len(heads), box=box.MARKDOWN, labels=labels)
    console = plain_console()
    grid.print(console if console.is_terminal else plain_console(width=_PIPED))
    for title, how in table.measured.items():
        console.print(f"measured{f' ({title})' if title else ''}: {how}", soft_wrap=True, highlight=False)


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what the doctor found, and then what to do."""
    console = plain_console()
    listed = list(findings)
    for part, group in groupby(listed, key=lambda finding: finding.part):
        console.print(Text(part, style="bold"))
        table = Table.grid(padding=(0, 2))
        for finding in group:
            mark = _MARKS[finding.state]
            table.add_row(f"  {finding.name}", mark, finding.fact)
        console.print(table)
    advice = [finding for finding in listed if finding.remedy]
    console.print(Text("to do", style="bold") if advice else "nothing to do")
    for finding in advice:
        console.print(f"  {finding.name}: {finding.remedy}", soft_wrap=True)
