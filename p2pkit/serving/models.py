"""The models of a server: loaded, named, and what there is to say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p2pkit.engine.storage.evaluations import evaluation_of
from p2pkit.engine.storage.find import find_checkpoint, run_of
from p2pkit.errors import ModelError, Problem
from p2pkit.exporting.card import CARD, card
from p2pkit.exporting.sources import held_out
from p2pkit.images.convert import MOST, palette_of, stored_type, to_picture
from p2pkit.inference.names import fetch_model
from p2pkit.inference.translate import Translator
from p2pkit.programs.exported import is_exported
from p2pkit.registry import names_in_force
from p2pkit.translation import load
from p2pkit.types import ImageSpec, Samples
from p2pkit.untyped import Json, Untyped

_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*)=(.+)")
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_STEP = 32
_STARTS = 8


@dataclass(frozen=True)
class Served:
    """A model of a server.

    Args:
        name: What requests call it.
        translator: The generator.
        card: Its model card, in Markdown.
        scores: Its latest scores by metric, with an arrow in the direction that is good.
        samples: Sources of its data as pictures, to start from; (H, W, 3).
        checkpoint: Where its weights are; None for a program.
    """

    name: str
    translator: Translator
    card: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[NDArray[np.uint8], ...] = ()
    checkpoint: Path | None = None

    def about(self) -> dict[str, Json]:
        """Return what a client has to know, as JSON."""
        images = self.translator.images
        return {
            "name": self.name,
            "height": images.height,
            "width": images.width,
            "multiple": self.translator.multiple,
            "source": _about(images.source) | {"colours": self._colours(), "edges": images.reading.edges is not None},
            "target": _about(images.target) | {"colours": _shown_colours(images.target)},
            "beside": {name: self._beside(name) for name in self.translator.companions.specs},
            "scores": {name: value for name, value in self.scores.items() if np.isfinite(value)},
            "samples": [f"/models/{self.name}/samples/{index}" for index in range(len(self.samples))],
            "card": f"/models/{self.name}/card",
            "translate": f"/models/{self.name}/translate",
        }

    def _beside(self, name: str) -> dict[str, Json]:
        """Return what there is to say of what the model takes beside a source."""
        companions = self.translator.companions
        spec = companions.specs[name]
        form = _about(spec) if isinstance(spec, ImageSpec) else asdict(spec)
        return {**form, "needed": name in companions.needed, "text": companions.described()[name]}

    def _colours(self) -> list[tuple[int, ...]]:
        """Return the colours to draw with, class by class for labels; none where any colour will do."""
        images = self.translator.images
        if images.source.kind == "labels":
            return [tuple(map(int, colour)) for colour in palette_of(images.source)]
        painted = images.reading.painted
        if not painted or not self.samples:
            return [*painted]
        pixels = np.concatenate([sample.reshape(-1, 3) for sample in self.samples])
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        cells = ((colours.astype(int) + _STEP // 2) // _STEP * _STEP).clip(max=255)
        near = [(cells == cell).all(1) for cell in painted]
        return [tuple(map(int, colours[own][counts[own].argmax()])) for own in near if own.any()]


def load_models(written: Sequence[str], **options: Untyped) -> dict[str, Served]:
    """Load models, each as `p2pkit.load` does.

    Args:
        written: The models, or NAME=MODEL.
        **options: Those of `p2pkit.load`.

    Returns:
        The models by name; where two have one, the later one gets a number.

    Raises:
        ModelError: There is no such model.
    """
    served: dict[str, Served] = {}
    for text in written:
        named = None if Path(text).exists() else _NAMED.fullmatch(text)
        loaded = _load(named[2] if named else text, named[1] if named else "", options)
        name, number = loaded.name, 2
        while loaded.name in served:
            loaded = replace(loaded, name=f"{name}-{number}")
            number += 1
        served[loaded.name] = loaded
    return served


def _load(model: str, name: str, options: Mapping[str, Untyped]) -> Served:
    local = Path(fetch_model(model))
    if is_exported(local):
        text = (local / CARD).read_text(encoding="utf-8") if (local / CARD).is_file() else ""
        return Served(name or _plain(model, local), load(local, **options), text, _scores(local))
    checkpoint = find_checkpoint(local)
    translator = load(checkpoint, **options)
    if translator.images.dims > 2:
        raise ModelError(Problem(model, "makes volumes, and a request brings an image", "use p2pkit translate"))
    run = run_of(checkpoint)
    own = name or _plain(model, run or checkpoint)
    how, beside = f"$ p2pkit serve {model}", translator.companions.described()
    text, samples = card(checkpoint, translator.images, license="", how=how, beside=beside)
    if (checkpoint / CARD).is_file():
        text = (checkpoint / CARD).read_text(encoding="utf-8")
    return Served(
        own, translator, text, _scores(checkpoint), _starts(checkpoint, translator, samples, options), checkpoint
    )


def _scores(checkpoint: Path) -> Mapping[str, float]:
    found = evaluation_of(checkpoint)
    return {} if found is None else {found[0].head(metric): value for metric, value in found[0].metrics.items()}


def _starts(
    checkpoint: Path, translator: Translator, samples: Samples | None, options: Mapping[str, Untyped]
) -> tuple[NDArray[np.uint8], ...]:
    """Return sources to start from: of a run's latest samples, or else of its data where these are in reach."""
    spec = translator.images.source
    if not is_picture(spec):
        return ()
    if samples is not None and samples.pictures:
        width = samples.pictures[0].shape[1] // 3
        return tuple(picture[:, :width] for picture in samples.pictures)
    found = held_out(checkpoint, _STARTS, names_in_force(options.get("registry")))
    return tuple(to_picture(source, spec) for source, _ in found)


def _plain(model: str, local: Path) -> str:
    """Return a name that an address can hold: of an entry in a store its own, of a folder the folder's."""
    store = re.fullmatch(r"\w+:/+(.+)", model)
    last = store[1].partition("@")[0].strip("/").rpartition("/")[2] if store else local.resolve().name
    return _OTHER.sub("-", last).strip("-.") or "model"


def is_picture(spec: ImageSpec) -> bool:
    """Say whether a picture of a source can be given to the network instead of it."""
    return spec.kind == "labels" or spec.channels in (1, 3)


def _about(spec: ImageSpec) -> dict[str, Json]:
    return {
        "kind": spec.kind,
        "channels": spec.channels,
        "type": str(stored_type(spec)).removeprefix("torch."),
        "low": spec.low,
        "high": spec.high,
        "lightness": spec.lightness,
        "shown": [*spec.shown],
    }


def _shown_colours(spec: ImageSpec) -> list[tuple[int, ...]]:
    """Return the colours in which people see classes, or planes that are too many for a picture."""
    return [*palette_of(spec)] if spec.kind == "labels" or spec.channels > MOST else []
