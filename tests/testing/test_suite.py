"""The suite as a plugin's author meets it: in pytest, and from Python."""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from p2pkit.errors import DeviceError, PluginError
from p2pkit.testing import run

GOOD = '''
import p2pkit

class Distance:
    """Mean absolute difference.

    Source: none.
    """

    def generator(self, view):
        return (view.fake - view.target).abs().mean()

@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("distance", Distance)
'''
BAD = GOOD.replace("return (", "return -(")
WITH_ROOT = '''
from pathlib import Path
from typing import Annotated

import p2pkit
from pydantic import Field

@p2pkit.hookimpl
def p2pkit_datasets():
    yield p2pkit.Dataset("mine", mine)

def mine(*, root: Annotated[Path, Field(description="Folder of the images."{declared})]):
    """Pairs of mine."""
    return p2pkit_pairs(root)
'''


TESTS = """
    from p2pkit.testing import conformance

    TestGood = conformance("good", files=["good.py"])
    TestBad = conformance("bad", files=["bad.py"])
    TestCrash = conformance("crash", files=["crash.py"])
    TestDay = conformance("good", files=["good.py"], long=["distance"])
    TestMost = conformance("bad", files=["bad.py"], long=["distance-right_sign"])
    TestLost = conformance("lost", files=["lost.py"])
    TestUnknown = conformance("acne", files=["good.py"])
"""


@pytest.fixture(scope="module")
def tested(warm, tmp_path_factory):
    """What a pytest of its own says of the plugins of several authors."""
    folder = tmp_path_factory.mktemp("authors")
    for name, code in (("good", GOOD), ("bad", BAD), ("crash", GOOD.replace(".abs()", ".nonsense()"))):
        (folder / f"{name}.py").write_text(code)
    (folder / "test_all.py").write_text(textwrap.dedent(TESTS))
    options = ["-p", "no:cacheprovider", "-v", "--p2pkit-device", "cpu", "-m", "not long"]
    said: str = warm.run([sys.executable, "-m", "pytest", *options], cwd=folder).stdout
    return said


def outcomes_of(tested, author):
    return re.findall(rf"^test_all.py::{author}::test_rule\[(.*)\] (PASSED|FAILED|SKIPPED)", tested, re.MULTILINE)


def test_one_test_for_each_component_and_rule(tested):
    outcomes = dict(outcomes_of(tested, "TestGood"))
    assert outcomes["loss-distance-right_sign"] == "PASSED"
    assert set(outcomes.values()) == {"PASSED", "SKIPPED"}
    assert len(outcomes) >= 16


def test_what_is_for_a_night_has_a_marker(tested):
    whole, day, most = (set(dict(outcomes_of(tested, name))) for name in ("TestGood", "TestDay", "TestMost"))
    assert "loss-distance-docstring" in day
    assert "loss-distance-builds" in whole - day
    assert whole - most == {"loss-distance-right_sign"}


def test_the_device_that_was_asked_for_is_the_only_one(tested):
    skipped = [name for name, state in outcomes_of(tested, "TestGood") if state == "SKIPPED"]
    assert skipped == ["loss-distance-encodes", "loss-distance-no_host_sync", "loss-distance-captured"]


def test_a_failure_is_a_sentence_without_traceback(tested):
    assert [name for name, state in outcomes_of(tested, "TestBad") if state == "FAILED"] == ["loss-distance-right_sign"]
    sentence = r"_\nFakes that leave the target cost -.*, and a worse one has to cost more: turn its sign, or look at"
    assert re.search(sentence, tested)


def test_a_crash_shows_where(tested):
    said = r"It raised AttributeError: 'Tensor' object has no attribute 'nonsense' \(crash.py, line 11\)\."
    assert re.search(said, tested)
    assert "return (view.fake - view.target).nonsense().mean()" in tested


def test_a_plugin_that_can_not_be_loaded_is_one_failure(tested):
    assert outcomes_of(tested, "TestLost") == [("plugin-lost-loads", "FAILED")]
    assert "FileNotFoundError: there is no such file" in tested
    assert outcomes_of(tested, "TestUnknown") == [("plugin-acne-loads", "FAILED")]
    assert "no plugin is called 'acne'" in tested


def test_pytest_finds_the_plugin_by_its_entry_point():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = importlib.import_module(project["entry-points"]["pytest11"]["p2pkit"])
    assert callable(module.pytest_addoption)


def test_nothing_heavy_is_imported_when_pytest_starts(python, tmp_path):
    code = """
        import sys
        import pytest

        pytest.main(["-q", "--co"])
        import p2pkit.testing
        p2pkit.testing.conformance("acme")
        print(*{"torch", "kornia", "mlflow", "torchmetrics"} & set(sys.modules), "end")
    """
    assert python(code, tmp_path).splitlines()[-1].strip() == "end"


def test_run_says_why_a_plugin_could_not_be_loaded(install):
    install("raise RuntimeError('no licence')")
    (outcome,) = run("acme")
    assert (outcome.kind, outcome.rule, outcome.state) == ("plugin", "loads", "failed")
    assert "no licence" in outcome.reason


def test_run_of_an_unknown_plugin_or_device():
    with pytest.raises(PluginError, match="no plugin is called 'nothing'"):
        run("nothing")
    with pytest.raises(DeviceError, match="there is no device 'warp' here"):
        run("p2pkit.metrics", device="warp")


def test_a_component_that_needs_parameters_asks_for_an_example(write_plugin):
    code = textwrap.dedent(WITH_ROOT.format(declared=""))
    outcomes = {o.rule: o for o in run("acme", files=[write_plugin(code)])}
    assert outcomes["defaults"].state == "failed"
    assert "It needs root to be tried" in outcomes["defaults"].reason
    assert outcomes["builds"].state == "skipped"
    assert outcomes["pairs"].state == "skipped"


def test_examples_go_by_name_by_kind_and_by_declaration(write_plugin, tmp_path):
    code = textwrap.dedent(WITH_ROOT).replace("return p2pkit_pairs(root)", "raise p2pkit.ComponentError(str(root))")
    file = write_plugin(code.format(declared=', examples=["declared"]'))

    def why(**examples):
        outcomes = {o.rule: o.reason for o in run("acme", examples=examples, files=[file])}
        return outcomes["builds"]

    assert "declared" in why()
    assert "by name" in why(mine={"root": "by name"})
    assert "by kind" in why(**{"mine": {"root": "by name"}, "dataset/mine": {"root": "by kind"}})


def test_random_numbers_and_default_type_are_left_alone(write_plugin):
    import torch

    torch.manual_seed(1)
    before = torch.get_rng_state()
    rules = {outcome.rule for outcome in run("acme", files=[write_plugin(GOOD)]) if outcome.state == "passed"}
    assert {"mean_of_pairs", "gradcheck"} <= rules  # the first draws random numbers, the second computes in double
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
