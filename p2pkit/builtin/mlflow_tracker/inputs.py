"""A run's data as MLflow's dataset inputs, and its images as MLflow's tensor specifications."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import p2pkit
from p2pkit import DatasetFacts, ImageSpec, Run
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from mlflow.types import Schema


def dataset_inputs(run: Run) -> list[dict[str, Json]]:
    """Return one input for each split that the run uses, with its size and the data's fingerprint."""
    facts = run.dataset
    kind = "local" if facts.root else "code"
    source: dict[str, object] = {"uri": str(Path(facts.root).absolute())} if facts.root else {"tags": {}}
    return [
        {
            "context": "training" if split == "train" and run.kind == "training" else "evaluation",
            "dataset": {
                "name": dataset_of(facts, split)[0],
                "digest": dataset_of(facts, split)[1],
                "source_type": kind,
                "source": json.dumps(source),
                "schema": _schema(facts),
                "profile": json.dumps({"pairs": count}),
            },
        }
        for split, count in facts.counts.items()
    ]


def dataset_of(facts: DatasetFacts, split: str) -> tuple[str, str]:
    """Return name and digest of the input that a split is."""
    return f"{facts.name} {split}", _digest(facts, split)


def image_schema(image: ImageSpec, size: tuple[int, ...] = (-1, -1)) -> Schema:
    """Return the form of a batch of stored images or volumes.

    Shape: (B, H, W, C_stored), or (B, D, H, W, C_stored).
    """
    import torch
    from mlflow.types import Schema, TensorSpec

    channels = 1 if image.kind == "labels" else image.channels
    kind = torch.empty(0, dtype=p2pkit.stored_type(image)).numpy().dtype
    return Schema([TensorSpec(kind, (-1, *size, channels))])


def _schema(facts: DatasetFacts) -> str:
    source, target = (
        image_schema(image, facts.spec.size).to_json() for image in (facts.spec.source, facts.spec.target)
    )
    return json.dumps({"mlflow_tensorspec": {"features": source, "targets": target}})


def _digest(facts: DatasetFacts, split: str) -> str:
    """Return the split's part of the fingerprint, all of it where that has no such parts, as short as MLflow wants."""
    from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE

    parts = dict(zip(facts.counts, facts.fingerprint.split("-"), strict=False))
    whole = len(facts.counts) != facts.fingerprint.count("-") + 1
    text = facts.fingerprint if whole else parts[split]
    if not text.strip("-"):  # a data set without fingerprints
        text = f"{facts.name} {facts.root} {facts.counts[split]}"
    if text.isalnum() and len(text) <= MAX_DATASET_DIGEST_SIZE:
        return text
    return hashlib.sha256(text.encode()).hexdigest()[:12]
