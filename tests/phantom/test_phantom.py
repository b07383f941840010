"""The step and whole trainings on a GPU that computes nothing: what is captured, what waits, and what stays outside."""

from __future__ import annotations

import json
import os
import runpy
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml

pytestmark = [pytest.mark.phantom, pytest.mark.timeout(1200)]  # the first test of a class runs its program
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE, RUNS = (yaml.safe_load((HERE / file).read_text(encoding="utf-8")) for file in ("steps.yaml", "runs.yaml"))
LARGE = [name for name in RUNS["runs"] if name.startswith("large")]
TINY = [name for name in RUNS["runs"] if name not in LARGE]


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The environment in which programs see the phantom."""
    make = runpy.run_path(str(HERE / "make.py"))
    why_not = make["reason_against"]()
    if why_not:
        pytest.skip(why_not)
    folder = tmp_path_factory.mktemp("phantom")
    variables = make["build"](folder)
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), variables["PYTHONPATH"]])
    return {**os.environ, **variables, "P2PKIT_CACHE": str(folder)}


@pytest.fixture(scope="session")
def python(preload, tmp_path_factory):
    """Run Python on the phantom, in a process that need not import."""
    server = runpy.run_path(str(ROOT / "tests" / "warm_python.py"))["server"]
    with ExitStack() as stack:
        with patch.dict(os.environ, preload):  # the server's, not that of the tests after these
            process = stack.enter_context(server(tmp_path_factory.mktemp("forks") / "warm"))
        yield lambda *command, **options: process.run([sys.executable, *command], **options)


@pytest.fixture(scope="session")
def on_phantom(python, preload):
    """Run one of the programs beside this file, and return its rows by name."""

    def run(program, *args, **options):
        done = python(HERE / program, *args, env=preload | options, cwd=preload["P2PKIT_CACHE"])
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return {row.pop("name"): row for row in found}

    return run


@pytest.fixture(scope="session")
def counted(on_phantom):
    return on_phantom("steps.py")


@pytest.fixture(scope="session")
def trained(on_phantom):
    return on_phantom("runs.py", *TINY, PHANTOM_GPUS="2")


@pytest.fixture(scope="session")
def large(on_phantom):
    return on_phantom("runs.py", *LARGE, PHANTOM_GB="8")


class TestSteps:
    @pytest.mark.parametrize("name", TABLE["steps"])
    def test_a_captured_step_is_as_the_table_says(self, counted, name):
        """A change of these numbers is written into the table on purpose, or it is a fault."""
        row = counted[name]
        assert row.pop("warnings") == []
        assert row.pop("graphs", None) == 1, row
        assert row["waits"] == 0
        if torch.__version__.startswith(TABLE["torch"]):
            assert {"settings": TABLE["steps"][name]["settings"], **row} == TABLE["steps"][name]


class TestTrainings:
    @pytest.mark.parametrize("name", TINY)
    def test_whole_trainings(self, trained, name):
        row = trained[name]
        assert "failed" not in row, row
        assert row["warnings"] == []
        assert row["evaluated"]
        assert row["graph"] == ("off: engine.cuda_graph is off" if name == "uncaptured" else "active")
        assert row["steps"] == {"resume": 18, "accumulate": 4, "all, fp16": 4, "tuned": 510, "phases": 10}.get(name, 12)
        assert row["device"] == (1 if name == "cuda:1" else 0)
        assert row["tf32"] == (name != "deterministic")
        assert any("went back to step" in note for note in row["notes"]) == (name == "rollback")
        # Of loaders and of what is captured, in each phase, not of epochs.
        assert row["streams"] <= {"tuned": 8, "phases": 9}.get(name, 5)

    def test_auto_says_what_it_has_measured_and_takes_it(self, trained):
        said = [note for note in trained["tuned"]["notes"] if note.startswith("fastest here: ")]
        assert len(said) == 1
        assert f"precision {trained['tuned']['precision']}, " in said[0]


class TestLarge:
    @pytest.mark.parametrize("name", LARGE)
    def test_what_fits_uncaptured_fits_captured(self, large, name):
        assert "failed" not in large[name], large[name]
        assert large[name]["graph"] == "active"
        assert large[name]["gigabytes"] <= 8

    def test_a_gpu_that_emulates_bf16_trains_in_fp16(self, on_phantom):
        row = on_phantom("runs.py", "captured", PHANTOM_CC="7")["captured"]
        assert (row["precision"], row["graph"]) == ("fp16", "active")


class TestOthers:
    def test_what_else_this_process_starts_runs_on_no_phantom(self, python, preload):
        assert "libphantom" in preload["LD_PRELOAD"]
        assert "libphantom" not in os.environ.get("LD_PRELOAD", "")

    def test_tests_for_a_gpu_pass_but_those_of_numbers(self, python, preload):
        folders = [ROOT / "tests" / name for name in ("engine", "builtin")]
        tests = [
            path for folder in folders for path in folder.rglob("test_*.py") if "mark.gpu" in path.read_text("utf-8")
        ]
        options = ["-q", "-p", "no:cacheprovider", "-p", "on_phantom", "-m", "gpu and not numbers"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # it is a fork, and p2pkit is there already
        done = python("-m", "pytest", *options, *tests, env=preload, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout
