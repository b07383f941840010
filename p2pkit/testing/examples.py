"""Parameters that components are built with where their defaults don't do."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from p2pkit.components import Component
from p2pkit.plugins.finding import OWN
from p2pkit.untyped import Json, Plain

BUILTIN: dict[str, dict[str, Json]] = {
    "generator/unet": {"depth": 5, "width": 4},
    "generator/unet_blog": {"depth": 5, "width": 4},
    "generator/resnet": {"blocks": 2, "width": 4},
    "generator/fcn": {"width": 4},
    "discriminator/patch": {"width": 8},
    "discriminator/patch_blog": {"width": 8},
    "discriminator/multiscale": {"width": 8, "scales": 2, "layers": 2},
    "augmentation/jitter_crop": {"load": 140},
    "metric/frechet_distance": {"features": "alexnet"},
    "metric/kernel_distance": {"features": "alexnet"},
}
"""The built-ins at sizes for tests."""

OTHERS: dict[str, tuple[dict[str, Json], ...]] = {"generator/unet": ({}, {"condition": "z", "depth": 2})}
"""Further ways in which built-ins are tried."""


UNTRIED: dict[str, str] = {
    "reader/exr": "it needs the package of OpenEXR; it has tests of its own",
    "tracker/mlflow": "it would record the tried runs where MLFLOW_TRACKING_URI leads; it has tests of its own",
}
"""Built-ins that are not tried here, and why."""


def parameters(component: Component, examples: Mapping[str, Plain | Sequence[Plain]]) -> list[dict[str, Json]]:
    """Return what a component is built with, one after the other.

    Args:
        component: The component.
        examples: Parameters by name or by `kind/name`, or several of them; over them go neither defaults nor declared
            examples.

    Returns:
        Parameters for each trial, without those that keep their default.
    """
    key = f"{component.kind}/{component.name}"
    own = {**BUILTIN.get(key, {}), **_files(component)} if component.plugin == OWN else {}
    beside = OTHERS.get(key, ({},)) if component.plugin == OWN else ({},)
    common = {**_declared(component), **own}
    return [
        {**common, **more, **one, **other}
        for more in beside
        for one in _several(examples.get(component.name, {}))
        for other in _several(examples.get(key, {}))
    ]


def _several(written: Plain | Sequence[Plain]) -> Sequence[Plain]:
    return [written] if isinstance(written, Mapping) else written


def _declared(component: Component) -> dict[str, Json]:
    """Take the first of the `examples` that required parameters declare in their `Field`."""
    fields = component.parameters.model_fields.items()
    return {name: info.examples[0] for name, info in fields if info.is_required() and info.examples}


def _files(component: Component) -> dict[str, Json]:
    """Return files for the built-ins that read some."""
    if component.kind == "metric" and component.name == "fcn_score":
        return {"network": _network()}
    if component.kind != "dataset":
        return {}
    folder = Path(_folder().name)
    known: dict[str, dict[str, Json]] = {
        "side_by_side": {"root": folder / "both"},
        "paired_folders": {"root": folder / "pairs"},
        "manifest": {"path": folder / "pairs.csv"},
        "labels": {"root": folder / "masks", "classes": 4},
        "colorize": {"root": folder / "pairs" / "target"},
        "edges": {"root": folder / "pairs" / "target"},
        "webdataset": {"shards": {"train": str(folder / "train-{0..2}.tar")}, "buffer": 4},
    }
    return known.get(component.name, {})


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Write a few pairs in every layout; the folder goes when the process ends."""
    import numpy as np
    from PIL import Image

    folder = tempfile.TemporaryDirectory(prefix="p2pkit-testing-")
    root = Path(folder.name)
    dice = np.random.default_rng(0)
    places = [root / name for name in ("both", "pairs/source", "pairs/target", "masks/source", "masks/target")]
    for place in places:
        place.mkdir(parents=True)
    for number in range(12):
        both = dice.integers(0, 256, (24, 64, 3), dtype=np.uint8)
        mask = dice.integers(0, 4, (24, 32), dtype=np.uint8)
        pictures = (both, both[:, :32], both[:, 32:], mask, both[:, 32:])
        for place, picture in zip(places, pictures, strict=True):
            Image.fromarray(picture).save(place / f"{number:02}.png")
    lines = ["source,target", *(f"pairs/source/{n:02}.png,pairs/target/{n:02}.png" for n in range(12))]
    (root / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number in range(3):
        with tarfile.open(root / f"train-{number}.tar", "w") as shard:
            for pair in range(4 * number, 4 * number + 4):
                for side in ("source", "target"):
                    shard.add(root / "pairs" / side / f"{pair:02}.png", f"{pair:02}.{side}.png")
    return folder


@cache
def _network() -> Path:
    """Write a checkpoint of a segmentation network as it is before training."""
    from p2pkit import api
    from p2pkit.engine.build.assembly import assemble
    from p2pkit.engine.storage.loop_state import Progress
    from p2pkit.engine.training.checkpointing import save_checkpoint
    from p2pkit.registry import load_registry
    from p2pkit.testing.seeding import seeded

    folder = Path(_folder().name)
    data = {"root": folder / "masks", "classes": 5, "labels": "target", "source": "target", "target": "source"}
    network = {"use": "fcn", "params": {"width": 4}}
    config = {"dataset": {"use": "labels", "params": data}, "generator": network, "losses": {"cross_entropy": 1}}
    checked = api.check({**config, "engine": {"device": "cpu"}}, registry=load_registry(discover=False))
    with seeded():
        return save_checkpoint(folder / "network", assemble(checked), Progress(), checked.plan.resolved())
