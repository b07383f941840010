"""What a parameter means is said once: in `Args:`, a component's annotation, or the help of a command's option."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import p2pkit

PACKAGE = Path(p2pkit.__file__).parent
SAID_BY_ANNOTATIONS = ("builtin", "cli")
MANY = 5


def functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Yield each public function and method, with the docstring that speaks of its parameters."""
    for owner in ast.walk(tree):
        if not isinstance(owner, ast.Module | ast.ClassDef) or getattr(owner, "name", "").startswith("_"):
            continue
        for item in owner.body:
            if isinstance(item, ast.FunctionDef) and (item.name == "__init__" or not item.name.startswith("_")):
                yield item, ast.get_docstring(owner if item.name == "__init__" else item) or ""


def unexplained(source: str) -> list[str]:
    """Name the functions of many parameters that explain none."""
    return [
        item.name
        for item, told in functions(ast.parse(source))
        if len([each for each in item.args.args + item.args.kwonlyargs if each.arg != "self"]) >= MANY
        and "Args:" not in told
    ]


def test_functions_of_many_parameters_explain_them():
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in SAID_BY_ANNOTATIONS]
    found = {file.relative_to(PACKAGE).as_posix(): unexplained(file.read_text(encoding="utf-8")) for file in files}
    assert len(files) > 100
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("told", "found"), [('"""Do."""', ["act"]), ('"""Do.\n\n    Args:\n        a: One.\n    """', [])]
)
def test_one_that_explains_nothing_is_found(told, found):
    assert unexplained(f"def act(a, b, c, *, d, e):\n    {told}\n") == found
