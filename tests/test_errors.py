from __future__ import annotations

import pytest

from p2pkit import ComponentError, ConfigError, P2pkitError, Problem, first_line
from p2pkit import errors as module


def test_a_problem_says_where_what_and_what_to_do():
    assert str(Problem("losses.l1.weight", "must not be negative", "write 0")) == (
        "losses.l1.weight: must not be negative\n  -> write 0"
    )
    assert str(Problem("", "there is nothing here")) == "there is nothing here"


def test_a_problem_keeps_what_opens_an_address_to_itself():
    told = str(Problem("s3://KEY:secret@bucket", "https://secret@host is away", "look at ?"))
    assert told == "s3://KEY@bucket: https://host is away\n  -> look at ?"


def test_an_error_holds_one_problem_or_many_in_order():
    first, second = Problem("a", "one"), Problem("b", "two", "go")
    assert ConfigError(first).problems == (first,)
    both = ConfigError(iter([first, second]))
    assert both.problems == (first, second)
    assert str(both) == "a: one\nb: two\n  -> go"


@pytest.mark.parametrize(
    ("parameter", "path"), [("depth", "generator.params.depth"), (None, "generator")], ids=["parameter", "component"]
)
def test_a_components_error_is_reported_where_the_config_names_it(parameter, path):
    error = ComponentError("too deep", remedy="lower it", parameter=parameter)
    assert str(error) == "too deep"
    assert error.at("generator") == Problem(path, "too deep", "lower it")


def test_all_errors_for_users_have_one_base():
    named = ("Config", "Registry", "Plugin", "Data", "Model", "Device", "Training")
    assert all(issubclass(getattr(module, f"{name}Error"), P2pkitError) for name in named)
    assert not issubclass(ComponentError, P2pkitError)


@pytest.mark.parametrize(
    ("error", "line", "typed"),
    [
        (ValueError("it is wrong\nand so on"), "it is wrong", "ValueError: it is wrong"),
        (ValueError("\n  it is wrong  \nand so on"), "it is wrong", "ValueError: it is wrong"),
        (KeyError("name"), "'name'", "KeyError: 'name'"),
        (NotImplementedError(), "NotImplementedError", "NotImplementedError"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_the_first_line_of_what_an_error_says(error, line, typed):
    assert first_line(error) == line
    assert first_line(error, typed=True) == typed
