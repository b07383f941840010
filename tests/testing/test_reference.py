"""The reference of the rules is what the rules say."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from p2pkit import testing
from p2pkit.testing.suite import all_rules

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: f"{rule.kinds[0]}-{rule.name}")
def test_every_rule_is_in_the_reference_in_its_own_words(rule):
    assert f"| `{rule.name}` | {rule.summary} |" in PAGE


def test_no_rule_of_the_reference_is_gone():
    listed = PAGE.count("\n| `") - len(inspect.signature(testing.conformance).parameters) - 4
    assert listed == len(all_rules())


@pytest.mark.parametrize("name", ["conformance", "run"])
def test_functions_with_their_arguments(name):
    arguments = list(inspect.signature(getattr(testing, name)).parameters)
    (heading,) = [line for line in PAGE.splitlines() if line.startswith(f"### p2pkit.testing.{name}(")]
    written = [part.partition("=")[0].strip() for part in heading.partition("(")[2].rstrip(")").split(",")]
    assert [part for part in written if part != "*" and part] == arguments
    assert all(f"| `{argument}` |" in PAGE for argument in arguments)


def test_outcomes_with_their_fields():
    section = PAGE.partition("### p2pkit.testing.Outcome")[2]
    assert all(f"`{field.name}`" in section for field in fields(testing.Outcome))
