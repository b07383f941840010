"""What MLflow loads a generator by; a copy of this file lies in each model, which thus runs without p2pkit, too."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from p2pkit.untyped import Plain, Untyped

    Array = NDArray[np.generic]

CHECKPOINT, PROGRAM, FACTS, WHERE = "checkpoint", "model.pt2", "images.json", "where.json"


class _Translator(Protocol):
    def translate(self, image: object, **extras: Untyped) -> object: ...


class Model:
    """What `mlflow.pyfunc.load_model` returns, behind MLflow's own wrapper.

    Args:
        translator: What translates an array (B, H, W, C), or a Pillow image.
        facts: The type in which sources are stored, and what the generator takes beside them.
    """

    def __init__(self, translator: _Translator, facts: Plain) -> None:
        self.translator = translator
        self.stored = np.dtype(facts["source"])
        self.beside: dict[str, Plain] = facts.get("beside", {})
        self.seed: int = facts.get("seed", 0)

    def predict(self, model_input: object, params: Mapping[str, int] | None = None) -> Array:
        """Translate, and answer in the form of what was given.

        Args:
            model_input: An array (B, H, W, C) of stored images; or PNG or JPEG files, as bytes or as text in base64.
                Where the generator takes more than noise beside its source, a table with columns of these names.
            params: The `seed` of noise, for a generator that takes any.

        Returns:
            An array of stored images; or PNG files, as bytes or as text in base64. Of a table, what each row becomes.
        """
        noise = self._noise(int((params or {}).get("seed", self.seed)))
        if self.beside.keys() - noise.keys():
            return _listed([self._row(row, noise) for row in _rows(model_input)])
        given = np.asarray(model_input)
        if given.ndim <= 2 and given.dtype.kind in "SUO":
            return _listed([self._file(one, noise) for one in given.ravel()])
        return np.asarray(self.translator.translate(_array(given, self.stored), **noise))

    def _noise(self, seed: int) -> dict[str, object]:
        """Draw noise as p2pkit does."""
        drawn = {name: about["size"] for name, about in self.beside.items() if about["kind"] == "noise"}
        return {name: _normal(size, f"{name} {seed}") for name, size in drawn.items()}

    def _row(self, row: Plain, noise: Mapping[str, object]) -> Array | str | bytes:
        given = {name: _plain(value) for name, value in row.items()}
        given = {name: value for name, value in given.items() if value is not None}
        for name, text in {"source": "an image", **{name: each["text"] for name, each in self.beside.items()}}.items():
            if name not in given and (name == "source" or self.beside[name]["needed"]):
                raise ValueError(f"a column {name!r} is wanted in each row: {text}")
        source = given.pop("source")
        extras = {name: self._extra(name, value) for name, value in given.items() if name in self.beside}
        extras = {**noise, **extras}
        if isinstance(source, str | bytes):
            return self._file(source, extras)
        stored = _array(np.asarray(source)[None], self.stored)
        fake: Array = np.asarray(self.translator.translate(stored, **extras))[0]
        return fake

    def _extra(self, name: str, value: object) -> object:
        """Read what stands beside a source; no text is taken for a file's name."""
        stored = self.beside[name].get("stored")
        if stored is None:
            return value
        return _picture(value) if isinstance(value, str | bytes) else _array(np.asarray([value]), np.dtype(stored))[0]

    def _file(self, given: object, extras: Mapping[str, object]) -> str | bytes:
        fake = _png(self.translator.translate(_picture(given), **extras))
        return base64.b64encode(fake).decode() if isinstance(given, str) else fake


class Program:
    """The network as a program of torch's own.

    Args:
        folder: Where it lies, with what its images are.
    """

    def __init__(self, folder: Path, facts: Plain) -> None:
        import torch

        self.facts = {**facts, "stored": facts["source"], "kind": "labels" if facts["labels"] else "intensity"}
        self.run = torch.export.load(folder / PROGRAM).module()

    def translate(self, image: object, **extras: object) -> Array:
        """Translate an array (B, H, W, C), or a Pillow image to an array (H, W, C), with what stands beside it."""
        import torch

        picture = isinstance(image, Image.Image)
        stored = _pixels(image, self.facts)[None] if isinstance(image, Image.Image) else np.asarray(image)
        wanted, channels = self.facts["size"], self.facts["channels"]
        if stored.shape[3] != channels:
            raise ValueError(f"images of {channels} channels are wanted, got {stored.shape[3]}")
        if wanted and list(stored.shape[1:3]) != wanted:
            raise ValueError(f"without p2pkit, this network takes images of {wanted[0]} x {wanted[1]} only")
        beside = [_stored(name, extras, about, stored.shape) for name, about in self.facts.get("beside", {}).items()]
        given = (torch.from_numpy(np.array(each, order="C")) for each in (stored, *beside))
        with torch.no_grad():
            fakes = self.run(*given).numpy()
        return np.asarray(fakes[0] if picture else fakes)


def _rows(table: object) -> list[Plain]:
    rows = table.to_dict("records") if hasattr(table, "to_dict") else table
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a table is wanted, with a column `source` and one for each thing that stands beside it")
    return rows


def _listed(fakes: list[Array | str | bytes]) -> Array:
    """Return fakes as an array of objects, whatever they are."""
    listed = np.empty(len(fakes), dtype=object)
    for place, fake in enumerate(fakes):
        listed[place] = fake
    return listed


def _plain(value: object) -> object:
    """Return a table's cell as Python has it: a whole number as one, an empty cell as None."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value


def _normal(size: int, place: str) -> Array:
    import torch

    seed = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big") >> 1
    return np.asarray(torch.randn(size, generator=torch.Generator().manual_seed(seed)).numpy())


def _array(given: Array, kind: np.dtype[np.generic]) -> Array:
    if given.ndim != 4:
        raise ValueError(f"an array (images, height, width, channels) is wanted, got one of shape {given.shape}")
    try:
        stored = given if given.dtype == kind else np.asarray(given.tolist()).astype(kind)
        alike = kind.kind == "f" or bool((stored == given).all())
    except (TypeError, ValueError):  # images of several sizes, or no numbers
        raise ValueError("the array does not hold numbers of one shape") from None
    if not alike or (given.dtype.kind == "f" and kind.kind != "f"):
        raise ValueError(f"whole numbers of type {kind} are wanted, got others, of {given.dtype}")
    return stored


def _picture(given: object) -> Image.Image:
    if not isinstance(given, str | bytes):
        raise ValueError(f"PNG or JPEG files are wanted, as bytes or in base64, got a {type(given).__name__}")
    try:
        raw = base64.b64decode(given.partition("base64,")[2] or given) if isinstance(given, str) else given
        with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as picture:
            picture.load()
            return picture
    except (binascii.Error, UnidentifiedImageError):
        raise ValueError("what was given is no PNG or JPEG file, nor one in base64") from None


def _pixels(picture: Image.Image, about: Plain) -> Array:
    """Return a picture as a program takes it."""
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    labels = about["kind"] == "labels"
    plain = "indexed" if labels else modes.get(about["channels"])
    if plain is None or about["stored"] != "uint8" or (labels and picture.mode not in ("L", "P")):
        kind = f"{about['channels']} channels of {about['stored']}"
        raise ValueError(f"without p2pkit, a {picture.mode} picture does not become {kind}; give an array")
    pixels = np.asarray(picture if labels else picture.convert(plain))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _stored(name: str, extras: Mapping[str, object], about: Plain, shape: tuple[int, ...]) -> Array:
    """Return an extra as a program takes it: the same for each of its sources."""
    if name not in extras:
        raise ValueError(f"without p2pkit, this network needs a value of {name} too: {about['text']}")
    value = extras[name]
    if "stored" in about:
        one = _pixels(value, about) if isinstance(value, Image.Image) else np.asarray(value)
        if one.shape != (*shape[1:3], about["channels"]):
            raise ValueError(
                f"without p2pkit, {name} has to be of the source's size, and of {about['channels']} channels"
            )
    else:
        one = _vector(name, value, about)
    return np.broadcast_to(one, (shape[0], *one.shape))


def _vector(name: str, value: object, about: Plain) -> Array:
    if about["kind"] == "class":
        names = about["names"] or [str(number) for number in range(about["size"])]
        if str(value) in names:
            return np.asarray(names.index(str(value)), np.int64)
        if isinstance(value, int) and 0 <= value < about["size"]:
            return np.asarray(value, np.int64)
        raise ValueError(f"{name}: {value!r} is no class: {about['text']}")
    try:
        numbers = np.asarray(value.replace(",", " ").split() if isinstance(value, str) else value, np.float32).ravel()
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} is no list of numbers") from None
    if len(numbers) != about["size"] or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: {value!r} is not {about['text']}")
    return numbers


def _load_pyfunc(data_path: str, model_config: Mapping[str, object] | None = None) -> Model:
    """Load the model; MLflow calls this by name."""
    folder = Path(data_path)
    facts: Plain = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    program = (folder / PROGRAM).is_file()
    try:
        import p2pkit
    except ImportError:
        if program:
            return Model(Program(folder, facts), facts)
        raise ImportError("this model needs p2pkit, since its network is no program of its own: install it") from None
    try:
        trust = bool((model_config or {}).get("trust", False))
        return Model(p2pkit.load(_checkpoint(folder), trust=trust), facts)
    except p2pkit.P2pkitError as error:
        if not program:
            raise
        warnings.warn(f"the network's own program is used, since {error}", stacklevel=2)
        return Model(Program(folder, facts), facts)


def _checkpoint(folder: Path) -> Path:
    note = folder / WHERE
    if (folder / CHECKPOINT).is_dir() or not note.is_file():
        return folder / CHECKPOINT
    where = Path(json.loads(note.read_text(encoding="utf-8"))["checkpoint"])
    if not where.is_dir():
        raise FileNotFoundError(f"the weights of this model lie in its run's folder, and {where} is not there any more")
    return where


def _png(fake: object) -> bytes:
    if not isinstance(fake, Image.Image):
        array = np.asarray(fake)
        held = array.dtype == np.uint8 and array.shape[2] <= 4
        if not held and not (array.dtype == np.uint16 and array.shape[2] == 1):
            raise ValueError(f"no PNG holds {array.shape[2]} channels of {array.dtype}; give an array, and get one")
        fake = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if fake.mode == "F":
        raise ValueError("no PNG holds fractions; give an array, and get one")
    file = io.BytesIO()
    fake.save(file, "PNG")
    return file.getvalue()
