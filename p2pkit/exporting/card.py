"""A model card: what a model is, what it was trained on, and how good it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

import p2pkit
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.evaluations import evaluation_of, save_report
from p2pkit.engine.storage.find import run_of
from p2pkit.engine.storage.layout import SCORES
from p2pkit.types import ImageSpec, PairSpec, Report, times

CARD = "README.md"
_SAMPLES = "samples.png"


def write_card(
    checkpoint: Path,
    images: PairSpec,
    folder: Path,
    *,
    license: str,
    how: str,
    parity: str = "",
    beside: Mapping[str, str] | None = None,
) -> Path:
    """Write a model card in Markdown, and beside it its scores and the picture of its samples.

    Args:
        checkpoint: The model.
        images: What it was trained on.
        folder: Where to.
        license: Its licence; empty where none was named.
        how: How the folder is used.
        parity: How the program compares with the network.
        beside: By name, in words, what the model takes beside a source.
    """
    report, samples = evaluation_of(checkpoint)
    sheet = samples.sheet if samples is not None else checkpoint / _SAMPLES
    if report is not None:
        save_report(report, folder / SCORES)
    if sheet.is_file():
        shutil.copy2(sheet, folder / _SAMPLES)
    shown = sheet.is_file()
    text = card(checkpoint, images, report, license=license, how=how, parity=parity, beside=beside, shown=shown)
    (folder / CARD).write_text(text, encoding="utf-8")
    return folder / CARD


def card(
    checkpoint: Path,
    images: PairSpec,
    report: Report | None,
    *,
    license: str,
    how: str,
    parity: str = "",
    beside: Mapping[str, str] | None = None,
    shown: bool = False,
) -> str:
    """Return a model card in Markdown.

    Args:
        checkpoint: A checkpoint.
        images: What the model was trained on.
        report: How good it is; None where nobody knows.
        license: The model's licence; empty where it is not known.
        how: The command that uses the model.
        parity: By how much the program and the network differ, where there is a program.
        beside: By name, in words, what the model takes beside a source.
        shown: Whether the picture of samples lies beside the card.
    """
    run = run_of(checkpoint)
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
        *(["", "Source, fake and target of held-out pairs:", "", f"![samples]({_SAMPLES})"] if shown else []),
        *("", "## Training", "", f"By p2pkit {p2pkit.__version__}, of `{checkpoint.name}`:", ""),
        *("```yaml", yaml.safe_dump(dict(config), sort_keys=False).rstrip(), "```", ""),
    ]
    return "\n".join(lines)


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
