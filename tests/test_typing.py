"""A value without a type has a name that says why: `Any` is written where those names are made, and nowhere else."""

from __future__ import annotations

import ast
import typing
from pathlib import Path

import pytest

import p2pkit
from p2pkit import untyped

PACKAGE = Path(p2pkit.__file__).parent
ALLOWED = {
    "untyped.py",  # the names
    "testing/rules/every.py",  # looks for parameters that are annotated with it
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def bare(source: str) -> list[int]:
    """List the lines that use `Any`, or `typing.Any`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id == "Any")
        or (isinstance(node, ast.Attribute) and node.attr == "Any")
        or (isinstance(node, ast.ImportFrom) and any(name.name == "Any" for name in node.names))
    ]


def test_any_has_a_reason():
    found = {file: bare((PACKAGE / file).read_text(encoding="utf-8")) for file in FILES if file not in ALLOWED}
    found = {file: lines for file, lines in found.items() if lines}
    assert not found, "use a real type, or one of the names in p2pkit/untyped.py"


def test_what_is_allowed_is_needed():
    assert {file for file in FILES if bare((PACKAGE / file).read_text(encoding="utf-8"))} == ALLOWED


@pytest.mark.parametrize(
    "line", ["x: Any = 1", "def f(*args: Any): ...", "x: list[typing.Any]", "from typing import Any as A", "y = Any"]
)
def test_any_is_found(line):
    assert bare(line)


@pytest.mark.parametrize("line", ["x: AnyImage = 1", '"""Any image."""', "x = any(y)  # Any"])
def test_other_words_are_not(line):
    assert not bare(line)


def test_names_are_written_out_as_they_are():
    names = {name for name, value in vars(untyped).items() if value is typing.Any or name == "Plain"} - {"Any"}
    assert untyped.WRITTEN_OUT.keys() == names
    for name, text in untyped.WRITTEN_OUT.items():
        assert str(vars(untyped)[name]).replace("typing.", "").replace("collections.abc.", "") == text
