"""The generator as a program of torch's own, from stored images to stored images, which runs without p2pkit."""

from __future__ import annotations

import json
from pathlib import Path

import torch

import p2pkit
from p2pkit.builtin.mlflow_tracker.p2pkit_model import FACTS, PROGRAM


def write_program(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's generator as a program, and what its images are to what is known of them.

    Batch, height and width are free where the network allows it, else the size is that of training.

    Args:
        checkpoint: The checkpoint's folder.
        folder: Where to write.

    Raises:
        p2pkit.ModelError: The network has no such form.
    """
    plain = {"precision": "fp32", "memory_format": "contiguous", "convolutions": "direct"}
    translator = p2pkit.load(checkpoint, engine={**plain, "device": "cpu"})
    images = translator.images
    graph = p2pkit.PortableGenerator(translator, stored=True, layout="NHWC")
    program, free = p2pkit.export_program(graph, height=images.height, width=images.width)
    p2pkit.save_program(program, folder / PROGRAM)
    labels = images.source.kind == "labels"
    facts = {"channels": 1 if labels else images.source.channels, "labels": labels}
    types = {"source": _name(p2pkit.stored_type(images.source)), "target": _name(p2pkit.stored_type(images.target))}
    size = None if free else [images.height, images.width]
    known = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    (folder / FACTS).write_text(json.dumps({**known, **facts, **types, "size": size}), encoding="utf-8")


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
