"""Every rule can fail: for each there are components that break it and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pkit.components import KIND_NAMES
from p2pkit.testing import run
from p2pkit.testing.suite import Suite, all_rules

FILES = sorted((Path(__file__).parent / "broken").glob("*.py"))
ELSEWHERE = {"imports", "loads_twice"}
# Elsewhere than on the CPU most of them break the rules for a GPU too.
SUITES = [Suite(file.stem, files=(file,), device=None if file.stem == "cuda" else "cpu") for file in FILES]
WITH_NUMBERS = {"captured": [pytest.mark.numbers]}
COMPONENTS = [
    pytest.param(
        suite,
        subject,
        id=f"{suite.plugin}-{subject.component.name}",
        marks=[pytest.mark.gpu, *WITH_NUMBERS.get(subject.component.name, ())] if suite.plugin == "cuda" else [],
    )
    for suite in SUITES
    for subject in suite.subjects
]


def broken_rule(name: str) -> str:
    """Return the rule that a component is named after."""
    return re.sub(r"_\d$", "", name).strip("_")


@pytest.mark.parametrize(("suite", "subject"), COMPONENTS)
def test_exactly_the_rule_it_is_named_after_fails(suite, subject, monkeypatch):
    if subject.component.name == "autocast":  # so small that emulated arithmetic is no matter
        monkeypatch.setattr("p2pkit.testing.rules.networks.emulates_bf16", lambda device: False)
    outcomes = [case.outcome() for case in suite.cases if case.subject is subject]
    failed = {outcome.rule: outcome.reason for outcome in outcomes if outcome.state == "failed"}
    wanted = broken_rule(subject.component.name)
    if suite.plugin == "cuda" and any("no CUDA" in outcome.reason for outcome in outcomes):
        pytest.skip("there is no CUDA device")
    assert set(failed) == {wanted} - {"nothing"}, failed
    for sentence in failed.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_every_rule_has_a_breaker_of_a_kind_it_is_for():
    broken = {(broken_rule(s.component.name), s.kind) for suite in SUITES for s in suite.subjects}
    unbroken = [rule.name for rule in all_rules() if not any((rule.name, kind) in broken for kind in rule.kinds)]
    assert set(unbroken) == ELSEWHERE


def test_rules_are_sentences_and_names_are_unique_within_a_kind():
    rules = all_rules()
    assert all(rule.summary.endswith(".") for rule in rules)
    for kind in KIND_NAMES:
        names = [rule.name for rule in rules if kind in rule.kinds]
        assert len(names) == len(set(names)) >= 12


FINE = '''
import p2pkit

class L1:
    """Mean absolute difference.

    Source: none.
    """

    def generator(self, view):
        return (view.fake - view.target).abs().mean()

{offers}
'''
AS_A_GENERATOR = """
@p2pkit.hookimpl
def p2pkit_losses():
    yield p2pkit.Loss("l1", L1)
"""
EXHAUSTED = """
OFFERS = iter([p2pkit.Loss("l1", L1)])

@p2pkit.hookimpl
def p2pkit_losses():
    return OFFERS
"""


def failures(name):
    return {outcome.rule: outcome.reason for outcome in run(name) if outcome.state == "failed"}


def test_a_record_that_is_offered_once_only(install):
    install(FINE.format(offers=EXHAUSTED))
    assert set(failures("acme")) == {"loads_twice"}


@pytest.mark.parametrize(
    "line",
    [
        "from p2pkit.images.convert import conform",
        "import p2pkit.registry",
        "from p2pkit import plugins",
        "READ = lambda: p2pkit.config",
        "from p2pkit.builtin.segmentation import check_labels",
        "from p2pkit.layers.blocks import drop",
        "from p2pkit.testing.rule import Rule",
    ],
)
def test_an_import_that_is_not_public(install, line):
    install(f"{line}\n{FINE.format(offers=AS_A_GENERATOR)}")
    found = failures("acme")
    assert set(found) == {"imports"}
    assert "acme_module.py, line 2" in found["imports"]


def test_public_imports_are_fine(install):
    lines = ["PairSpec", "layers"], ["drop"], ["conformance"]
    modules = "p2pkit", "p2pkit.layers", "p2pkit.testing"
    allowed = "\n".join(f"from {m} import {n}" for m, names in zip(modules, lines, strict=True) for n in names)
    install(f"{allowed}\nREAD = p2pkit.read_image\n{FINE.format(offers=AS_A_GENERATOR)}")
    assert failures("acme") == {}
