"""Tests mirror the rooms: each module of the engine has a file of its own here, with tests in it."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "p2pkit" / "engine"
MODULES = sorted(path.relative_to(ENGINE) for path in ENGINE.rglob("*.py") if path.name != "__init__.py")


def test_pytest_looks_into_each_folder(pytestconfig):
    left_out = pytestconfig.getini("norecursedirs")
    names = {path.parent.name for path in HERE.parent.rglob("test_*.py")}
    assert not {name for name in names if any(fnmatch(name, pattern) for pattern in left_out)}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_its_tests(module):
    file = HERE / module.with_name(f"test_{module.name}")
    assert file.is_file(), f"write {file.relative_to(HERE.parents[1])}"
    assert "\ndef test_" in file.read_text(encoding="utf-8")
