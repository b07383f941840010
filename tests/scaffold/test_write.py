"""Names, files and refusals of a new plugin."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
import typing

import pytest
import yaml

from p2pkit import PLUGIN_API, P2pkitError
from p2pkit.cli.plugins import Kind
from p2pkit.components import KIND_NAMES
from p2pkit.scaffold import STARTERS, Named, new_plugin

FILES = {
    ".github/workflows/ci.yaml",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "example.yaml",
    "pyproject.toml",
    "src/acme_unets/__init__.py",
    "src/acme_unets/py.typed",
    "tests/test_conformance.py",
}


def test_every_kind_has_a_starter_and_a_choice():
    assert tuple(STARTERS) == KIND_NAMES == typing.get_args(Kind)


@pytest.mark.parametrize(
    ("name", "package", "plugin"),
    [
        ("acme", "acme", "acme"),
        ("acme-unets", "acme_unets", "acme_unets"),
        ("acme.unets_2", "acme_unets_2", "acme_unets_2"),
        ("p2pkit-unets", "p2pkit_unets", "unets"),
    ],
)
def test_names_follow_from_the_distributions(name, package, plugin):
    assert Named.of(name) == Named(name, package, plugin)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "is not a distribution's name"),
        ("Acme", "is not a distribution's name"),
        ("acme--unets", "is not a distribution's name"),
        ("acme-", "is not a distribution's name"),
        ("3d", "is not a distribution's name"),
        ("../acme", "is not a distribution's name"),
        ("acme unets", "is not a distribution's name"),
        ("p2pkit-3d", "can't have a module called '3d'"),
        ("lambda", "can't have a module called 'lambda'"),
        ("p2pkit", "p2pkit's own name"),
        ("json", "already a Python module called 'json'"),
        ("torch", "already a Python module called 'torch'"),
    ],
)
def test_names_that_can_not_be_used(tmp_path, name, cause):
    with pytest.raises(P2pkitError) as caught:
        new_plugin(name, "loss", tmp_path)
    (problem,) = caught.value.problems
    assert cause in problem.cause
    assert problem.remedy
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "a_file").write_text("mine")
    for name, into, cause in [("acme", tmp_path, "already there"), ("acme", tmp_path / "a_file", "can't be made")]:
        with pytest.raises(P2pkitError, match=cause):
            new_plugin(name, "loss", into)
    assert list((tmp_path / "acme").iterdir()) == []
    assert (tmp_path / "a_file").read_text() == "mine"


def test_an_unknown_kind(tmp_path):
    with pytest.raises(P2pkitError, match="there is no kind 'trainer'"):
        new_plugin("acme", "trainer", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_what_is_written(tmp_path, kind):
    folder = new_plugin("acme-unets", kind, tmp_path / "new" / "folder")
    written = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(written) == FILES
    texts = {place: path.read_text() for place, path in written.items()}
    assert [place for place, text in texts.items() if text and not text.endswith("\n")] == []
    project = tomllib.loads(texts["pyproject.toml"])
    assert project["project"]["entry-points"]["p2pkit.plugins"] == {"acme_unets": "acme_unets"}
    assert STARTERS[kind].component in texts["src/acme_unets/__init__.py"]
    assert f"acme_unets:{STARTERS[kind].component}" in texts["README.md"]
    assert 'conformance("acme_unets"' in texts["tests/test_conformance.py"]
    workflow = yaml.safe_load(texts[".github/workflows/ci.yaml"])
    assert "${{ matrix.python }}" in str(workflow["jobs"]["test"]["steps"])
    assert (
        f"A{'n' if kind in ('augmentation', 'executor', 'optimizer') else ''} {kind} for p2pkit"
        in project["project"]["description"]
    )


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_modules_state_the_plugin_api_of_today(kind):
    assert importlib.import_module(f"p2pkit.scaffold.kinds.{kind}").P2PKIT_PLUGIN_API == PLUGIN_API


def test_what_is_written_is_clean_by_its_own_rules(tmp_path):
    for kind in KIND_NAMES:
        new_plugin(f"acme-{kind}", kind, tmp_path)
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
