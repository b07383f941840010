"""Any config that check accepts can be trained: what is wrong with it is found there, never in a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pkit import P2pkitError, Problem, api
from p2pkit.config import RunConfig
from p2pkit.engine.checked import ValidatedRun
from p2pkit.registry import Registry

WORDS = st.sampled_from(["l1", "auto", "on", "off", "[/red]", r"$\frac$", "a/b", "", "x" * 200, "best", "cpu", "é\n"])
NUMBERS = st.one_of(
    st.integers(-2, 8),
    st.sampled_from([2**31, 2**63, 10**30, 0.5, 1.5, 1e-8, 1e30, float("inf"), float("nan"), True, None]),
)
ANYTHING = st.one_of(NUMBERS, WORDS, st.just([]), st.just({}), st.lists(NUMBERS, max_size=3))
LEFT_ALONE = ("dataset", "tracking", "sweep", "summary", "origin")


def keys(model: Any, path: str = "") -> list[str]:
    """List every key of the config that has a value of its own."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        nested = isinstance(inner, type) and hasattr(inner, "model_fields") and "use" not in inner.model_fields
        if path or name not in LEFT_ALONE:
            found += keys(inner, f"{path}{name}.") if nested else [f"{path}{name}"]
    return found


TERMS = ("gan", "l1", "tv", "charbonnier")
MIRROR = "checkpoint.mirror"  # any word is a folder, which would be written to
OTHERS = ("use", "lr", "betas", "eps", "weight_decay")
KEYS = [
    *(key for key in keys(RunConfig) if key not in ("losses", "augment", "generator", "discriminator", MIRROR)),
    *(f"optimizers.{player}.{key}" for player in ("generator", "discriminator") for key in OTHERS),
    *(f"losses.{term}{key}" for term in TERMS for key in ("", ".weight", ".every", ".use")),
    *("generator.params.depth", "generator.params.width", "generator.params.dropout", "dataset.params.size"),
    *("dataset.params.count", "discriminator.params.layers", "discriminator.params.width", "tracking.name"),
    *("tracking.tags", "tracking.experiment", "augment", "nonsense", "engine.nonsense"),
]
CHANGES = st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1, max_size=3)
TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 6}},
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8}},
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": 1, "l1": 100},
    "schedule": {"epochs": 1},
    "engine": {"batch": 2, "device": "cpu", "log_every": 1, "compile": False, "cache": "memory"},
    "evaluate": {"metrics": ["l1"], "samples": 2, "batch": 4},
}


def refusal(act: Callable[[], Any]) -> tuple[Problem, ...]:
    """Return the problems that an error for users holds; any other error is one of the test."""
    try:
        act()
    except P2pkitError as error:
        return error.problems
    return ()


def try_out(registry: Registry, changes: dict[str, Any], folder: Path) -> None:
    """Check a config; train it for a step or two where check has nothing to say and it is small."""
    wanted = {"registry": registry, "tracking.folder": str(folder), **changes}
    problems = refusal(lambda: api.check(TINY, **wanted))
    assert all(len(str(problem)) < 2000 for problem in problems)
    if not problems and is_small(api.check(TINY, **wanted)):
        for problem in refusal(lambda: api.train(TINY, **wanted)):
            assert "finite" in problem.cause  # a learning rate of 1e30 is valid, and leads to no finite number


def is_small(checked: ValidatedRun) -> bool:
    """Tell whether training takes a moment."""
    config, engine = checked.plan.config, checked.plan.config.engine
    most = max(engine.workers, config.schedule.length, config.evaluate.batch, engine.accumulate)
    return most <= 8 and checked.spec.height <= 64 and len(checked.dataset.pairs("train")) <= 32


@given(CHANGES)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_valid_configs_resolve_or_fail_at_check(quiet, tmp_path_factory, changes):
    try_out(quiet, changes, tmp_path_factory.getbasetemp() / "any")


LONG = [pytest.param(50, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.long)]


@pytest.mark.parametrize("count", LONG)
def test_many_configs(quiet, tmp_path_factory, count):
    """Others each time."""

    @given(CHANGES)
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    def tried(changes):
        try_out(quiet, changes, tmp_path_factory.getbasetemp() / "many")

    tried()
