"""A component with its parameters: validated once, written so that they can be read again."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from p2pkit import ConfigError, Generator, Loss, WeightsFile
from p2pkit.parts import Part


class Mode(enum.Enum):
    SOFT = "soft"
    HARD = "hard"


class Size(enum.IntEnum):
    SMALL = 1


@dataclass(frozen=True)
class Level:
    width: int = 3
    mode: Mode = Mode.SOFT


class Window(BaseModel):
    sides: tuple[int, int] = (2, 3)
    level: Level = Level()


def rich(
    *,
    mode: Mode = Mode.SOFT,
    size: Size = Size.SMALL,
    level: Level = Level(),
    levels: dict[str, Level] | None = None,
    window: Window = Window(),  # noqa: B008  as above
    folder: Path = Path("data"),
    day: date = date(2020, 1, 2),
    names: frozenset[str] = frozenset({"a"}),
    kind: Literal["x", "y"] = "x",
):
    """Return what was given."""
    return locals()


COUNTED: list[int] = []


def counting(*, width: Annotated[int, AfterValidator(lambda value: COUNTED.append(value) or value)]):
    """Count how often the parameter is validated."""
    return OrderedDict(width=width)


def part(factory=rich, **params) -> Part:
    return Part("losses.it", Loss("it", factory), params)


def test_parameters_of_every_kind_are_written_and_read_again():
    written = part(levels={"a": {"width": 5}}).resolved()["params"]
    again = part(**json.loads(json.dumps(written)))
    assert again.problems() == []
    assert written["mode"] == "soft"
    assert written["levels"] == {"a": {"width": 5, "mode": "soft"}}
    assert written["window"] == {"sides": [2, 3], "level": {"width": 3, "mode": "soft"}}
    assert written["day"] == "2020-01-02"
    assert Path(written["folder"]).is_absolute()
    made = again.build()
    assert made["level"] == Level()
    assert made["mode"] is Mode.SOFT
    assert made["window"] == Window()
    assert again.resolved()["params"] == written


def test_parameters_are_validated_once():
    COUNTED.clear()
    found = part(counting, width="3")
    assert found.problems() == []
    assert found.build() == {"width": 3}
    assert found.resolved()["params"] == {"width": 3}
    assert COUNTED == [3]


def test_wrong_parameters_are_told_with_their_path():
    found = part(mode="loud", sise=3)
    assert [problem.path for problem in found.problems()] == ["losses.it.params.mode", "losses.it.params.sise"]
    with pytest.raises(ConfigError):
        found.build()


def test_a_package_that_a_factory_misses_is_told():
    def needs():
        import nowhere_to_be_found  # noqa: F401

    with pytest.raises(ConfigError, match="can't be built: ModuleNotFoundError: No module named 'nowhere_to_be"):
        part(needs).build()


def begins(
    *, weights: WeightsFile = None, other: Annotated[WeightsFile | None, Field()] = None, plan: Path | None = None
):
    """Says what it is given."""
    return weights, other, plan


def test_what_a_network_began_with_is_void_once_there_is_a_checkpoint(tmp_path):
    part = Part("generator", Generator("begins", begins), dict.fromkeys(("weights", "other", "plan"), tmp_path))
    assert part.build() == (tmp_path, tmp_path, tmp_path)
    loaded = replace(part, loaded=True)
    assert loaded.build() == (None, None, tmp_path)
    assert loaded.resolved() == part.resolved()
