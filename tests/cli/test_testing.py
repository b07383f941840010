"""p2pkit test-plugin."""

import json

import pytest


@pytest.fixture
def file(plugin):
    """The one-file plugin of these tests, whose generator has no `Source:` and no bounds."""
    return plugin


def test_the_table_and_a_sentence_for_each_failure(p2pkit, file):
    ran = p2pkit("test-plugin", "--plugin", file)
    assert ran.code == 1
    assert "generator line" in ran.out
    assert "failed generator line, range: Its fakes reach" in ran.out
    assert ", 3 failed, " in ran.out


def test_json(p2pkit, file):
    ran = p2pkit("test-plugin", "mine", "--plugin", file, "--json", "-e", "line.side=5")
    outcomes = json.loads(ran.out)
    failed = {outcome["rule"] for outcome in outcomes if outcome["state"] == "failed"}
    assert failed == {"range", "shape_section", "source_section"}
    assert {outcome["component"] for outcome in outcomes} == {"line"}


def test_a_good_plugin(p2pkit):
    ran = p2pkit("test-plugin", "p2pkit.augmentations")
    assert ran.code == 0
    assert "0 failed" in ran.out


def test_what_can_not_be_tested(p2pkit, file):
    assert p2pkit("test-plugin", "nothing").code == 2
    assert "no plugin is called 'nothing'" in p2pkit("test-plugin", "nothing").err
    assert p2pkit("test-plugin").code == 2
    assert p2pkit("test-plugin", "--plugin", file, "-e", "line=5").code == 2
    assert p2pkit("test-plugin", "p2pkit.mlflow").code == 0  # a tracker, which is not built here
