"""The house's map: every file and name on it exists, and every room of the code is on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "the-house.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`(p2pkit/[\w/]+\.py)(?::([\w.]+))?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_every_place_on_the_map_exists(file, name):
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    for part in filter(None, name.split(".")):
        found = [node for node in body if getattr(node, "name", None) == part]
        assert found, f"{file} has no {name}"
        body = getattr(found[0], "body", [])


def test_every_room_is_on_the_map():
    rooms = {
        path.stem for path in (ROOT / "p2pkit").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    rooms |= {path.stem for path in (ROOT / "p2pkit" / "engine").iterdir() if not path.name.startswith("__")}
    missing = sorted(room for room in rooms - {"__init__", "__main__", "recipes"} if f"`{room}`" not in PAGE)
    assert not missing


def test_all_ten_phases_have_a_place():
    phases = re.findall(r"^\| (\d+) ", PAGE, flags=re.MULTILINE)
    assert [int(number) for number in phases] == list(range(1, 11))
