"""YAML of strangers: what is read, what is refused in one line, and that neither takes long."""

from __future__ import annotations

import time

import pytest

from p2pkit.yaml_reader import MOST_LETTERS, MOST_VALUES, NotYaml, parse_yaml


def grown(start: str, link: str) -> str:
    """Write twelve lines of which each holds ten times the one before."""
    names = "bcdefghijklm"
    lines = [
        link.format(name=name, below=",".join([f"*{before}"] * 10))
        for before, name in zip("a" + names, names, strict=False)
    ]
    return "\n".join([start, *lines])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [1, 1.5, true, null, x]", {"a": [1, 1.5, True, None, "x"]}),
        ("~: 1\n1.5: 2\n2024-01-01: 3\non: 4\n0: 5", {"~": 1, "1.5": 2, "2024-01-01": 3, "on": 4, "0": 5}),
        ("a: 2024-01-01\nb: 2024-13-45", {"a": "2024-01-01", "b": "2024-13-45"}),
        ("b: &b {x: 1}\na:\n  <<: *b\n  y: 2", {"b": {"x": 1}, "a": {"x": 1, "y": 2}}),
        ("", None),
    ],
)
def test_plain_values_and_keys_that_are_texts(text, found):
    assert parse_yaml(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (grown("a: &a [1,1,1,1,1]", "{name}: &{name} [{below}]"), r"line \d, column .*: more than 20,000 values"),
        (grown("a: &a {x: 1}", "{name}: &{name} {{<<: [{below}]}}"), r"line \d, column .*: more than 20,000 values"),
        ("a: &a [*a]", "line 1, column 8: a value that contains itself"),
        ("a: &a {x: *a}", "column 11: a value that contains itself"),
        ("a: *b", "line 1, column 4: found undefined alias"),
        ("a: " + "[" * 1000, "line 1, column 53: nested more than 50 deep"),
        ("\n".join("  " * i + "a:" for i in range(600)), "line 50, column .*: nested more than 50 deep"),
        ("a: " + "9" * 5000, r"line 1, column 4: '9{40}' is no value of its kind"),
        ("a: 0x" + "f" * 5000, "column 4: a number of more than 64 bits"),
        ("a: " + "1:" * 5000 + "1", "column 4: a number of more than 64 bits"),
        ("a: !!timestamp 2024-13-45", "column 4: could not determine a constructor"),
        ("a: !!python/object/apply:os.system [ls]", "column 4: could not determine a constructor"),
        ("a: !!bool maybe", "column 4: 'maybe' is no value of its kind"),
        ("a: !!map [1]", "column 4: keys and values are wanted here"),
        ("[a, b]: 1", "line 1, column 1: a key has to be a word"),
        ("a: b\nc: \0", "line 2, column 4: a letter that is not allowed, number 0"),
        ("a:\n\tb: 1", "line 2, column 1: found character"),
        ("x" * (MOST_LETTERS + 1), "too large: 500,001 letters"),
    ],
    ids=range(18),
)
def test_what_is_refused_is_told_in_one_line(text, why):
    begun = time.process_time()
    with pytest.raises(NotYaml, match=why) as raised:
        parse_yaml(text)
    assert time.process_time() - begun < 5
    assert "\n" not in str(raised.value)


def test_a_hundred_thousand_keys():
    with pytest.raises(NotYaml, match=r"more than 20,000 values|too large"):
        parse_yaml("".join(f"k{i}: {i}\n" for i in range(100_000)))
    assert len(parse_yaml("".join(f"{i}:\n" for i in range(MOST_VALUES // 2 - 1)))) == MOST_VALUES // 2 - 1
