"""A model card: what a model is, what it was trained on, and how good it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

import p2pkit
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.evaluations import evaluation_of, save_report
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.layout import EVALUATION, SHEET
from p2pkit.exporting.scores import Scores
from p2pkit.programs.parity import Parity
from p2pkit.types import ImageSpec, PairSpec, Report, Samples, times
from p2pkit.yaml_reader import NotYaml, parse_yaml

CARD = "README.md"


def write_card(
    checkpoint: Path,
    images: PairSpec,
    folder: Path,
    *,
    license: str,
    how: str,
    parity: Parity | None = None,
    scores: Scores | None = None,
    beside: Mapping[str, str] | None = None,
) -> Path:
    """Write a model card in Markdown, and the picture of a run's latest samples beside it.

    Args:
        checkpoint: The model.
        images: What it was trained on.
        folder: Where to.
        license: Its licence; empty where none was named.
        how: How the folder is used.
        parity: How the program compares with the network.
        scores: What fewer bits lose.
        beside: By name, in words, what the model takes beside a source.
    """
    text, samples = card(checkpoint, images, license=license, how=how, parity=parity, scores=scores, beside=beside)
    if samples is not None and samples.sheet.is_file():
        shutil.copyfile(samples.sheet, folder / SHEET)
    if (found := evaluation_of(checkpoint)) is not None:
        save_report(found[0], found[1].names, folder / EVALUATION)
    (folder / CARD).write_text(text, encoding="utf-8")
    return folder / CARD


def card(
    checkpoint: Path,
    images: PairSpec,
    *,
    license: str,
    how: str,
    parity: Parity | None = None,
    scores: Scores | None = None,
    beside: Mapping[str, str] | None = None,
) -> tuple[str, Samples | None]:
    """Return a model card in Markdown, and the run's latest samples, to which it refers.

    Args:
        checkpoint: A checkpoint.
        images: What the model was trained on.
        license: The model's licence; empty where it is not known.
        how: The command that uses the model.
        parity: By how much the program and the network differ, where there is a program.
        scores: What fewer bits lose, where it has no more.
        beside: By name, in words, what the model takes beside a source.
    """
    run = run_of(checkpoint)
    report, samples = evaluation_of(checkpoint) or (scores.network if scores else None, None)
    license = license or licence_of(checkpoint)
    config = read_config(checkpoint)
    lines = [
        *("---", "library_name: p2pkit", "pipeline_tag: image-to-image", "tags: [pix2pix, image-to-image]"),
        *([f"license: {license}"] if license else []),
        *("---", "", f"# {run.name if run else checkpoint.name}", ""),
        f"From {_spec(images.source)} to {_spec(images.target)}; trained at {times(images.size)} pixels.",
        *(f"\nBeside each image it takes {name}: {text}." for name, text in (beside or {}).items()),
        *("", f"Licence: {license or 'not named by who exported it'}."),
        *("", "## Use", "", "```console", how, "```"),
        *(["", f"The program and the network differ by {parity}."] if parity else []),
        *("", "## Scores", "", *_scores(report)),
        *(["", f"In {scores.bits}, beside the network:", "", *_small(scores)] if scores else []),
        *(["", "Source, fake and target of held-out pairs:", "", f"![samples]({SHEET})"] if samples else []),
        *("", "## Training", "", f"By p2pkit {p2pkit.__version__}, of `{checkpoint.name}`:", ""),
        *("```yaml", yaml.safe_dump(dict(config), sort_keys=False).rstrip(), "```", ""),
    ]
    return "\n".join(lines), samples


def licence_of(checkpoint: Path) -> str:
    """Return the licence that a model's own card names; empty where it has no card, or that names none."""
    card = checkpoint / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    _, _, front = text.partition("---\n") if text.startswith("---\n") else ("", "", "")
    with suppress(NotYaml):
        said = parse_yaml(front.partition("\n---")[0])
        return str(said["license"]) if isinstance(said, dict) and "license" in said else ""
    return ""


def _spec(spec: ImageSpec) -> str:
    if spec.kind == "labels":
        return f"maps of {spec.channels} classes"
    return f"images of {spec.channels} channels with values from {spec.low:g} to {spec.high:g}"


def _scores(report: Report | None) -> Iterator[str]:
    if report is None:
        yield "It has not been scored."
        return
    protocol = ", ".join(f"{key} {value}" for key, value in report.protocol.items() if not isinstance(value, dict))
    yield f"On {report.count} pairs of the split `{report.split}`; {protocol}."
    yield from ("", "| metric | value |", "|---|---:|")
    for name, value in report.metrics.items():
        yield f"| {report.head(name)} | {value:.4g} |"
    yield from (f"\nNote: {warning}" for warning in report.warnings)


def _small(scores: Scores) -> Iterator[str]:
    yield from (f"| | network | {scores.bits} | |", "|---|---:|---:|---:|")
    yield from (f"| {' | '.join(row)} |" for row in scores.rows())
