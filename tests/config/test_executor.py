"""Where work runs, as a config says it."""

from __future__ import annotations

import jsonschema
import pytest

from p2pkit.config import config_schema, load_config, resolve
from p2pkit.config.executor import split_overrides


def resolved(registry, **keys):
    return resolve(load_config({"dataset": "shapes", **keys}), registry)


def test_a_name_is_short_for_its_defaults_and_nothing_for_this_process(registry):
    assert resolved(registry).executor is None
    part = resolved(registry, executor="local").executor
    assert (part.component.full_name, part.retries, part.resources.cpus) == ("p2pkit:local", 2, 1.0)
    assert part.resources.gpus is None  # one where there are any


def test_a_cpu_needs_no_gpu_unless_one_is_asked_for(registry):
    on_cpu = {"engine": {"device": "cpu"}}
    assert resolved(registry, executor="local", **on_cpu).executor.resources.gpus == 0
    assert resolved(registry, executor={"gpus": 0.5}, **on_cpu).executor.resources.gpus == 0.5


def test_a_run_does_not_remember_where_it_was_trained(registry):
    assert "executor" not in resolved(registry, executor="local").resolved()


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ("local", True),
        (None, True),
        ({"params": {"processes": 2}, "retries": 0}, True),
        ({"use": "local", "params": {"process": 2}}, False),
        ("nowhere", False),
        ({"retry": 1}, False),
    ],
)
def test_editors_know_the_section(registry, written, fits):
    problems = [problem.path for problem in resolved(registry, executor=written).problems]
    valid = jsonschema.Draft202012Validator(config_schema(registry)).is_valid(
        {"dataset": "shapes", "executor": written}
    )
    assert (valid, not problems) == (fits, fits)


def test_overrides_are_told_apart():
    own, others = split_overrides({"executor.use": "local", "executors": 1, "engine.seed": 2})
    assert own == {"executor.use": "local"}
    assert others == {"executors": 1, "engine.seed": 2}
