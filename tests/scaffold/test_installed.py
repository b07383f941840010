"""What `p2pkit new-plugin` writes can be installed, passes its own tests, and is used by its own example."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from p2pkit.components import KIND_NAMES, Executor, Reader
from p2pkit.scaffold import STARTERS, new_plugin

pytestmark = pytest.mark.slow
UNNAMED = (Reader.kind, Executor.kind)  # no example of a run names them
TRAIN = """
    import json
    import jsonschema, yaml
    import p2pkit
    from p2pkit.config import config_schema
    from p2pkit.registry import load_registry

    registry = load_registry()
    states = {plugin.name: [plugin.state, plugin.error] for plugin in registry.plugins.found}
    short = {"schedule": {"epochs": None, "steps": 2}, "engine.device": "cpu", "evaluate.samples": 1}
    trained = {}
    editor = jsonschema.Draft202012Validator(config_schema(registry))
    for file in json.loads(%r):
        with open(file) as text:
            editor.validate(yaml.safe_load(text))
        run = p2pkit.train(file, registry=registry, **short)
        trained[file] = [run.step, dict(run.report.metrics), (run.folder / "run.yaml").read_text()]
    print(json.dumps([states, trained]))
"""


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """One new plugin of each kind."""
    folder = tmp_path_factory.mktemp("new")
    return {kind: new_plugin(f"acme-{kind}", kind, folder) for kind in KIND_NAMES}


@pytest.fixture(scope="module")
def site(projects, tmp_path_factory) -> Path:
    """The folder that pip installed all of them into."""
    target = tmp_path_factory.mktemp("site")
    options = ["-q", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", target, *projects.values()]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return target


def test_all_are_found_and_their_examples_train(projects, site, python, tmp_path):
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    examples = json.dumps([str(folder / "example.yaml") for folder in projects.values()])
    states, trained = json.loads(python(TRAIN % examples, tmp_path, site, warm=True).splitlines()[-1])
    assert {kind: states[f"acme_{kind}"] for kind in KIND_NAMES} == {kind: ["loaded", ""] for kind in KIND_NAMES}
    for kind, folder in projects.items():
        step, metrics, config = trained[str(folder / "example.yaml")]
        assert step == 2
        assert f"acme_{kind}:{STARTERS[kind].component}" in config or kind in UNNAMED
        assert all(map(math.isfinite, metrics.values()))
    assert "rmse" in trained[str(projects["metric"] / "example.yaml")][1]


def outcomes(warm, site, folder, *arguments):
    """What pytest says of the tests that were written, in a fork that has p2pkit already."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path}
    options = ["-p", "no:cacheprovider", "-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    done = warm.run([sys.executable, "-m", "pytest", *options, *map(str, arguments)], cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(warm, projects, site):
    assert " passed" in outcomes(warm, site, projects["generator"], "-q")


@pytest.mark.long
def test_those_of_the_other_kinds_pass(warm, projects, site):
    """All in one process."""
    others = {kind: folder for kind, folder in projects.items() if kind != "generator"}
    said = outcomes(warm, site, projects["generator"].parent, "-v", "--import-mode=importlib", *others.values())
    passed = re.findall(r"::test_rule\[(\w+)-\S+\] PASSED", said)
    assert set(passed) == others.keys()
