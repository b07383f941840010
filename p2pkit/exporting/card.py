"""A model card: what a model is, what it was trained on, and how good it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

import p2pkit
from p2pkit.engine.storage.checkpoint import read_config
from p2pkit.engine.storage.evaluations import last_evaluation
from p2pkit.engine.storage.find import run_of
from p2pkit.errors import ModelError
from p2pkit.types import ImageSpec, PairSpec, Report, Samples, times

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
    """Write a model card in Markdown, and the picture of a run's latest samples beside it.

    Args:
        checkpoint: The model.
        images: What it was trained on.
        folder: Where to.
        license: Its licence; empty where none was named.
        how: How the folder is used.
        parity: How the program compares with the network.
        beside: By name, in words, what the model takes beside a source.
    """
    text, samples = card(checkpoint, images, license=license, how=how, parity=parity, beside=beside)
    if samples is not None:
        shutil.copy2(samples.sheet, folder / _SAMPLES)
    (folder / CARD).write_text(text, encoding="utf-8")
    return folder / CARD


def card(
    checkpoint: Path,
    images: PairSpec,
    *,
    license: str,
    how: str,
    parity: str = "",
    beside: Mapping[str, str] | None = None,
) -> tuple[str, Samples | None]:
    """Return a model card in Markdown, and the run's latest samples, to which it refers.

    Args:
        checkpoint: A checkpoint.
        images: What the model was trained on.
        license: The model's licence; empty where it is not known.
        how: The command that uses the model.
        parity: By how much the program and the network differ, where there is a program.
        beside: By name, in words, what the model takes beside a source.
    """
    run = run_of(checkpoint)
    report: Report | None = None
    samples: Samples | None = None
    with suppress(ModelError):
        report, samples = last_evaluation(run) if run is not None else (None, None)
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
        *(["", "Source, fake and target of held-out pairs:", "", f"![samples]({_SAMPLES})"] if report else []),
        *("", "## Training", "", f"By p2pkit {p2pkit.__version__}, of `{checkpoint.name}`:", ""),
        *("```yaml", yaml.safe_dump(dict(config), sort_keys=False).rstrip(), "```", ""),
    ]
    return "\n".join(lines), samples


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
