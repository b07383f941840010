"""What MLflow loads a generator by; a copy of this file lies in each model, which thus runs without p2pkit, too."""

from __future__ import annotations

import base64
import binascii
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

    Array = NDArray[np.generic]

CHECKPOINT, PROGRAM, FACTS, WHERE = "checkpoint", "model.pt2", "images.json", "where.json"


class _Translator(Protocol):
    def translate(self, image: object) -> object: ...


class Model:
    """What `mlflow.pyfunc.load_model` returns, behind MLflow's own wrapper.

    Args:
        translator: What translates an array (B, H, W, C), or a Pillow image.
        stored: The type in which sources are stored.
    """

    def __init__(self, translator: _Translator, stored: str) -> None:
        self.translator = translator
        self.stored = np.dtype(stored)

    def predict(self, model_input: object, params: object = None) -> Array:
        """Translate, and answer in the form of what was given.

        Args:
            model_input: An array (B, H, W, C) of stored images; or PNG or JPEG files, as bytes or as text in base64.
            params: Not used; MLflow hands it over.

        Returns:
            An array of stored images; or PNG files, as bytes or as text in base64.
        """
        given = np.asarray(model_input)
        if given.ndim <= 2 and given.dtype.kind in "SUO":
            fakes = np.empty(given.size, dtype=object)
            for place, one in enumerate(given.ravel()):
                fakes[place] = self._file(one)
            return fakes
        return np.asarray(self.translator.translate(self._array(given)))

    def _array(self, given: Array) -> Array:
        if given.ndim != 4:
            raise ValueError(f"an array (images, height, width, channels) is wanted, got one of shape {given.shape}")
        try:
            stored = given if given.dtype == self.stored else np.asarray(given.tolist()).astype(self.stored)
            alike = self.stored.kind == "f" or bool((stored == given).all())
        except (TypeError, ValueError):  # images of several sizes, or no numbers
            raise ValueError("the array does not hold numbers of one shape") from None
        if not alike or (given.dtype.kind == "f" and self.stored.kind != "f"):
            raise ValueError(f"whole numbers of type {self.stored} are wanted, got others, of {given.dtype}")
        return stored

    def _file(self, given: object) -> str | bytes:
        if not isinstance(given, str | bytes):
            raise ValueError(f"PNG or JPEG files are wanted, as bytes or in base64, got a {type(given).__name__}")
        try:
            raw = base64.b64decode(given.partition("base64,")[2] or given) if isinstance(given, str) else given
            with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as picture:
                picture.load()
                fake = _png(self.translator.translate(picture))
        except (binascii.Error, UnidentifiedImageError):
            raise ValueError("what was given is no PNG or JPEG file, nor one in base64") from None
        return base64.b64encode(fake).decode() if isinstance(given, str) else fake


class Program:
    """The network as a program of torch's own.

    Args:
        folder: Where it lies, with what its images are.
    """

    def __init__(self, folder: Path) -> None:
        import torch

        self.facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.run = torch.export.load(folder / PROGRAM).module()

    def translate(self, image: object) -> Array:
        """Translate an array (B, H, W, C), or a Pillow image to an array (H, W, C)."""
        import torch

        picture = isinstance(image, Image.Image)
        stored = self._pixels(image)[None] if isinstance(image, Image.Image) else np.asarray(image)
        wanted, channels = self.facts["size"], self.facts["channels"]
        if stored.shape[3] != channels:
            raise ValueError(f"images of {channels} channels are wanted, got {stored.shape[3]}")
        if wanted and list(stored.shape[1:3]) != wanted:
            raise ValueError(f"without p2pkit, this network takes images of {wanted[0]} x {wanted[1]} only")
        with torch.no_grad():
            fakes = self.run(torch.from_numpy(np.array(stored, order="C"))).numpy()
        return np.asarray(fakes[0] if picture else fakes)

    def _pixels(self, picture: Image.Image) -> Array:
        modes = {1: "L", 3: "RGB", 4: "RGBA"}
        plain = "indexed" if self.facts["labels"] else modes.get(self.facts["channels"])
        if plain is None or self.facts["source"] != "uint8" or (plain == "indexed" and picture.mode not in ("L", "P")):
            kind = f"{self.facts['channels']} channels of {self.facts['source']}"
            raise ValueError(f"without p2pkit, a {picture.mode} picture does not become {kind}; give an array")
        pixels = np.asarray(picture if plain == "indexed" else picture.convert(plain))
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _load_pyfunc(data_path: str, model_config: Mapping[str, object] | None = None) -> Model:
    """Load the model; MLflow calls this by name."""
    folder = Path(data_path)
    stored = json.loads((folder / FACTS).read_text(encoding="utf-8"))["source"]
    program = (folder / PROGRAM).is_file()
    try:
        import p2pkit
    except ImportError:
        if program:
            return Model(Program(folder), stored)
        raise ImportError("this model needs p2pkit, since its network is no program of its own: install it") from None
    try:
        trust = bool((model_config or {}).get("trust", False))
        return Model(p2pkit.load(_checkpoint(folder), trust=trust), stored)
    except p2pkit.P2pkitError as error:
        if not program:
            raise
        warnings.warn(f"the network's own program is used, since {error}", stacklevel=2)
        return Model(Program(folder), stored)


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
