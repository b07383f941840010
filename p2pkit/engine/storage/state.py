"""A checkpoint's state.json: how far the run was, what its images are, and what each of its files must be."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pkit.atomic_files import atomic_file
from p2pkit.engine.storage.layout import STATE
from p2pkit.engine.storage.loop_state import LoopState, Progress
from p2pkit.errors import ModelError, Problem
from p2pkit.types import PairSpec, VectorSpec
from p2pkit.untyped import Json, Plain

_BLOCK = 2**20
REMEDY = "use an earlier checkpoint of the run, or copy this one anew"


class FileRecord(BaseModel):
    """What a file was when it was written."""

    size: int = Field(ge=0)
    sha256: str


def _sound(images: PairSpec) -> PairSpec:
    if min(*images.size, images.source.channels, images.target.channels) < 1 or images.depth < 0:
        raise ValueError("images are without pixels or channels")
    if any(spec.size < 1 for spec in images.extras.values() if isinstance(spec, VectorSpec)):
        raise ValueError("an extra is without numbers")
    for spec in images.images.values():
        if not (math.isfinite(spec.low) and math.isfinite(spec.high) and spec.low < spec.high):
            raise ValueError(f"the values of an image reach from {spec.low} to {spec.high}")
    return images


SoundImages = Annotated[PairSpec, AfterValidator(_sound)]
"""What images are, as files say it that may be damaged."""


class _Best(BaseModel):
    metric: str | None
    value: float | None = Field(allow_inf_nan=False)


class _State(BaseModel):
    """The keys that are read; others may be beside them."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    position: Progress
    images: SoundImages
    settled: dict[str, str] = Field(default_factory=dict)
    scaler: dict[str, float] = Field(default_factory=dict)
    pairs_per_batch: int | None = Field(None, ge=1)
    memory: LoopState = Field(default_factory=LoopState)
    best: _Best | None = None
    files: dict[str, FileRecord] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_range(self) -> _State:
        if min(self.position.step, self.position.epoch, self.position.batches) < 0:
            raise ValueError("position holds a negative number")
        return self


def write_state(folder: Path, state: Plain) -> None:
    """Write a checkpoint's state, with its own digest."""
    with atomic_file(folder / STATE) as partial:
        partial.write_text(sealed(state), encoding="utf-8")


def sealed(held: Plain) -> str:
    """Return the text of a JSON file with its own digest."""
    plain = json.loads(json.dumps({key: value for key, value in held.items() if key != "digest"}))
    return json.dumps({**plain, "digest": _digest(plain)}, indent=2)


def unsealed(text: str) -> dict[str, Json]:
    """Return what such a text holds, without its digest, which one of before may lack.

    Raises:
        ValueError: It is no JSON, or not what was written.
    """
    held: dict[str, Json] = json.loads(text)
    digest = held.pop("digest", None)
    if digest != _digest(held) and (digest is not None or _misnamed(held)):
        raise ValueError("it is not what was written")
    return held


def _misnamed(held: Plain) -> bool:
    """Tell whether a digest is there, and what is damaged is its name."""
    return any(value == _digest({key: held[key] for key in held if key != name}) for name, value in held.items())


def described(images: PairSpec) -> dict[str, Json]:
    """Return what images are as plain data; where nothing stands beside them, no word is said of it."""
    plain = asdict(images)
    return {key: value for key, value in plain.items() if value or key not in ("extras", "mask", "depth")}


def read_state(path: Path) -> dict[str, Json]:
    """Read a checkpoint's state; its `images` become a `PairSpec`.

    Raises:
        ModelError: It is gone, damaged, or holds what no checkpoint of p2pkit does.
    """
    try:
        text = (path / STATE).read_text(encoding="utf-8")
        found = _State.model_validate_json(text)
        state = unsealed(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path / STATE, f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise _damaged(path / STATE, str(error) or type(error).__name__) from None
    return {**state, "images": found.images}


def records(folder: Path) -> dict[str, dict[str, Json]]:
    """Return what each file in a checkpoint's folder is, but the state itself."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != STATE)
    return {file.name: record(file).model_dump() for file in files}


def record(file: Path) -> FileRecord:
    """Return what a file is."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return FileRecord(size=file.stat().st_size, sha256=digest.hexdigest())


def verify(file: Path) -> None:
    """Make sure that a file of a checkpoint is what was written; nothing is known of those of older checkpoints.

    Raises:
        ModelError: It is gone, or something else.
    """
    if not (file.parent / STATE).is_file():  # a run's own folder
        return
    hold_against(file, read_state(file.parent).get("files", {}).get(file.name))


def hold_against(file: Path, wanted: Mapping[str, Json] | None, remedy: str = REMEDY) -> None:
    """Make sure that a file is what a record says, where there is one.

    Raises:
        ModelError: It is gone, or something else.
    """
    try:
        if wanted is None or (file.stat().st_size == wanted["size"] and record(file).sha256 == wanted["sha256"]):
            return
        cause = "is damaged: it is not what was written"
    except OSError as error:
        cause = f"can't be read: {error.strerror or error}"
    raise ModelError(Problem(str(file), cause, remedy))


def _digest(state: Plain) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _damaged(file: Path, cause: str) -> ModelError:
    return ModelError(Problem(str(file), f"can't be used: {cause}", REMEDY))
