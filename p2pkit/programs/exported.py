"""Exported folders: what they say of themselves, and how their programs are run."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from torch import Tensor, nn

from p2pkit.engine.device.placement import Placement
from p2pkit.engine.device.precision import Precision
from p2pkit.engine.storage.state import FileRecord, SoundImages, hold_against, records, sealed, unsealed
from p2pkit.errors import ModelError, Problem, first_line
from p2pkit.inference.forms import Form, Layout
from p2pkit.inference.translate import Translator
from p2pkit.programs.runtimes import Format, Run, Runtime, runner

DESCRIPTION = "p2pkit.json"
Arithmetic = Literal["fp32", "fp16", "int8"]
_REMEDY = "copy the folder anew, or export the model again"


def _inside(name: str) -> str:
    if PurePath(name).name != name or not name.strip("."):
        raise ValueError(f"{name!r} is no file of this folder")
    return name


_FileName = Annotated[str, AfterValidator(_inside)]


class Description(BaseModel):
    """What an exported folder says of its program.

    Args:
        format: Version of this description.
        program: What runs it.
        file: Where it is.
        images: What the network was trained on.
        multiple: What the sides of the images are padded to.
        size: Height and width of all images; None where they are free.
        stored: Whether images are as stored, and not in [-1, 1].
        layout: Whether channels come before the rows or last.
        precision: The network's arithmetic.
        extras: What it takes beside the source, in order.
        files: What each file was when it was written; empty in folders of before.
    """

    model_config = ConfigDict(extra="ignore")

    format: Literal[1] = 1
    program: Format
    file: _FileName
    images: SoundImages
    multiple: PositiveInt
    size: tuple[PositiveInt, PositiveInt] | None
    stored: bool
    layout: Layout
    precision: Arithmetic
    extras: list[str] = Field(default_factory=list)
    files: dict[_FileName, FileRecord] = Field(default_factory=dict)

    @field_validator("extras")
    @classmethod
    def _known(cls, names: list[str], info: ValidationInfo) -> list[str]:
        images = info.data.get("images")
        if images is not None and not images.extras.keys() >= set(names):
            raise ValueError("names what its data had not")
        return names


class Program(nn.Module):
    """An exported program where a network is wanted.

    Args:
        description: What it is.
        run: Runs it.

    Shape: (B, C_source, H, W) -> (B, C_target, H, W), both in [-1, 1].
    """

    def __init__(self, description: Description, run: Run) -> None:
        super().__init__()
        self.description, self.run = description, run
        self.multiple, self.takes = description.multiple, tuple(description.extras)
        self.form = Form(description.stored, description.layout)

    def forward(self, source: Tensor, **extras: Tensor) -> Tensor:
        """Run the program.

        Args:
            source: The sources.
            **extras: What stands beside them.

        Raises:
            ModelError: It takes images of one size, and these are of another.
        """
        about = self.description
        if about.size is not None and tuple(source.shape[2:]) != about.size:
            height, width = about.size
            cause = f"this program takes images of {height} x {width} (height x width) alone"
            raise ModelError(Problem(about.file, cause, f"say --size {height}x{width}"))
        held = {"source": self.form.of(source, about.images.source)}
        held |= {name: self.form.of(extras[name], about.images.extras[name]) for name in about.extras}
        made = self.run({name: np.ascontiguousarray(values.numpy()) for name, values in held.items()})
        return self.form.seen(torch.from_numpy(np.array(made)), about.images.target)


def is_exported(folder: Path) -> bool:
    """Say whether a folder is one that `p2pkit export` has written, with a program."""
    return os.path.isfile(folder / DESCRIPTION)  # which holds for no name that is too long


def write_description(folder: Path, about: Description) -> None:
    """Write what a folder says of its program, with what each of its files is."""
    held = {**about.model_dump(mode="json"), "files": records(folder)}
    (folder / DESCRIPTION).write_text(sealed(held), encoding="utf-8")


def load_exported(folder: Path, runtime: Runtime | None = None) -> Translator:
    """Load an exported program.

    Args:
        folder: The folder.
        runtime: What is to run it; by default the one that it was made for.

    Raises:
        ModelError: The folder is damaged, or the runtime is not installed, or does not read such programs.
    """
    return translator_of(folder, read_description(folder), runtime)


def read_description(folder: Path) -> Description:
    """Read what an exported folder says of its program, and make sure that its files are what was written.

    Raises:
        ModelError: They are not.
    """
    try:
        about = Description.model_validate(unsealed((folder / DESCRIPTION).read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        cause = f"can't be used: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ModelError(Problem(str(folder / DESCRIPTION), cause, _REMEDY)) from None
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        cause = f"can't be read: {first_line(error)}"
        raise ModelError(Problem(str(folder / DESCRIPTION), cause, _REMEDY)) from None
    for name, wanted in about.files.items():
        hold_against(folder / name, wanted.model_dump(), _REMEDY)
    return about


def translator_of(folder: Path, about: Description, runtime: Runtime | None = None) -> Translator:
    """Return what translates by an exported program.

    Args:
        folder: Its folder.
        about: What that says of it.
        runtime: As for `load_exported`.

    Raises:
        ModelError: As `load_exported`.
    """
    cpu = torch.device("cpu")
    place = Placement(cpu, Precision("fp32", cpu), torch.contiguous_format)
    return Translator(Program(about, runner(about.program, folder / about.file, runtime)), about.images, place)
