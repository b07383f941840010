from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from p2pkit import ConfigError, ImageSpec, PairSpec
from p2pkit.config import load_config, recipe_names, resolve
from p2pkit.registry import load_registry

IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 64, 64)


@pytest.fixture
def plan(registry, tiny):
    """Resolve a config, by default the tiny one: `plan(config, **{"losses.gan": 0})`."""
    return lambda config=tiny, names=registry, **overrides: resolve(load_config(config, overrides), names)


@pytest.fixture
def one(plan):
    """Return the one problem that a config has."""

    def find(*config, **overrides):
        (found,) = plan(*config, **overrides).problems
        return found

    return find


def test_a_tiny_config_is_complete(plan):
    found = plan()
    assert found.problems == ()
    assert found.dataset.component.full_name == "p2pkit:shapes"
    assert (found.generator.name, found.generator.component.full_name) == ("unet_tiny", "p2pkit:unet")
    assert [*found.losses] == ["gan", "l1"]
    assert {name: term.weight for name, term in found.config.losses.items()} == {"gan": 1, "l1": 100}
    assert list(found.metrics) == ["l1"]
    assert found.augment == ()
    assert list(plan({"dataset": "shapes"}).metrics) == ["l1", "psnr", "ssim"]


def test_written_parameters_lie_over_the_aliass(plan):
    found = plan(**{"generator.params.depth": 5})
    assert found.generator.params == {"depth": 5, "width": 8, "dropout": 0.0}


def test_a_term_of_weight_0_is_left_out(plan):
    found = plan(**{"losses.gan": 0})
    assert list(found.losses) == ["l1"]
    assert found.resolved()["losses"]["gan"]["weight"] == 0


def test_mistakes_of_every_kind_are_found_at_once(plan):
    config = {
        "dataset": {"use": "shapes", "params": {"sise": 64}},
        "generator": {"use": "unett"},
        "discriminator": {"use": "patch", "params": {"layers": "three"}},
        "augment": ["flip", 5, {"use": "jitter_crop", "parms": {}}],
        "losses": {"gan": {"weight": -1}, "l1": {"weigth": 50}, "l3": 1},
        "optimizers": {"generator": {"lr": "fast", "betas": ["a", 0.9]}},
        "schedule": {"epochs": "x", "decay_after": 300},
        "engine": {"bach": 4, "precision": "fp8"},
        "evaluate": {"metrics": ["l1", {"params": {}}, "l1"]},
        "trackng": {},
    }
    problems = {problem.path: problem for problem in plan(config).problems}
    assert set(problems) == {
        "dataset.params.sise",
        "generator.use",
        "discriminator.params.layers",
        "augment.1",
        "augment.2.parms",
        "losses.gan.weight",
        "losses.l1.weigth",
        "losses.l3.use",
        "optimizers.generator.lr",
        "optimizers.generator.betas.0",
        "schedule.epochs",
        "engine.bach",
        "engine.precision",
        "evaluate.metrics.1.use",
        "evaluate.metrics.2",
        "trackng",
    }
    said = {path: str(problem).partition(": ")[2] for path, problem in problems.items()}
    expected = {
        "dataset.params.sise": "shapes has no parameter 'sise'\n  -> did you mean size",
        "generator.use": "no generator is called 'unett'\n  -> did you mean unet",
        "discriminator.params.layers": "input should be a valid integer, unable to parse string as an integer",
        "augment.1": "must hold keys and values, got 5",
        "augment.2.parms": "there is no key 'parms' here\n  -> did you mean params? keys: use, params, alias",
        "losses.gan.weight": "input should be greater than or equal to 0, got -1\n  -> Factor of this term",
        "losses.l1.weigth": "there is no key 'weigth' here\n  -> did you mean weight?",
        "losses.l3.use": "no loss is called 'l3'\n  -> did you mean l",
        "schedule.epochs": "input should be a valid integer, unable to parse string as an integer, got 'x'",
        "engine.bach": "there is no key 'bach' here\n  -> did you mean batch",
        "engine.precision": "input should be 'auto', 'fp32', 'bf16' or 'fp16', got 'fp8'",
        "evaluate.metrics.1.use": "this key is missing",
        "evaluate.metrics.2": "another metric is already called 'l1'",
        "trackng": "there is no key 'trackng' here\n  -> did you mean tracking?",
    }
    assert {path: text for path, text in expected.items() if not said[path].startswith(text)} == {}


@pytest.mark.parametrize(
    ("changed", "path", "cause"),
    [
        ({"dataset": 5}, "dataset", "must hold keys and values, got 5"),
        ({"dataset": {"params": {}}}, "dataset.use", "this key is missing"),
        ({"generator": {"use": 5}}, "generator.use", "input should be a valid string, got 5"),
        ({"generator": None}, "generator", "must hold keys and values, got None"),
        ({"losses": 5}, "losses", "must hold keys and values, got 5"),
        ({"losses": {"gan": 1, 1: 5}}, "losses.1.use", "no loss is called '1'"),
        ({"losses": {"l1": "heavy"}}, "losses.l1.weight", "input should be a valid number, unable to parse "),
        ({"augment": "flip"}, "augment", "input should be a valid list, got 'flip'"),
        ({"optimizers": {"generator": {"use": "sdg"}}}, "optimizers.generator.use", "no optimizer is called 'sdg'"),
        ({"optimizers": {"generator": {"use": "sgd", "eps": 1}}}, "optimizers.generator.eps", "sgd has no parameter"),
        ({"optimizers": {"generator": {"params": {"eps": 1}}}}, "optimizers.generator.params.eps", "has a key of its"),
        ({"schedule": {"shape": "linaer"}}, "schedule.shape", "no schedule is called 'linaer'"),
        ({"tracking": {"trackers": {"cvs": {}}}}, "tracking.trackers.cvs.use", "no tracker is called 'cvs'"),
        ({"schedule": {"epochs": 3, "steps": 4}}, "schedule", "give epochs or steps, not both"),
        ({"engine": {"device": "gpu"}}, "engine.device", "string should match pattern"),
        ({"extend": "demo"}, "extend", "there is no key 'extend' here"),
        ({3: "x"}, "3", "there is no key '3' here"),
    ],
    ids=str,
)
def test_every_mistake_in_the_structure_is_told_once(one, tiny, changed, path, cause):
    found = one({**tiny, **changed})
    assert found.path == path
    assert found.cause.startswith(cause)


def test_a_config_names_its_data(one):
    assert (one({}).path, one({}).cause) == ("dataset", "this key is missing")


def test_a_missing_parameter_is_told_with_what_it_means(one, tiny):
    found = one({**tiny, "dataset": "side_by_side"})
    assert (found.path, found.cause) == ("dataset.params.root", "side_by_side needs this parameter")
    assert found.remedy


def test_a_key_of_extends_is_offered(one, tiny):
    assert one({**tiny, "extend": "demo"}).remedy.startswith("did you mean extends?")


def test_a_part_is_built_or_says_why_not(plan, write_plugin, tmp_path):
    code = """
        def shy(images):
            '''Refuses.'''
            raise p2pkit.ComponentError("too small", remedy="enlarge it", parameter="width")

        def broken(images):
            '''Fails.'''
            raise ZeroDivisionError("by zero")

        @p2pkit.hookimpl
        def p2pkit_generators():
            yield p2pkit.Generator("shy", shy)
            yield p2pkit.Generator("broken", broken)
    """
    theirs = load_registry(plugin_files=[write_plugin(code)], discover=False, start=tmp_path)
    with pytest.raises(ConfigError) as caught:
        plan(names=theirs, generator="shy").generator.build(IMAGES)
    assert str(caught.value) == "generator.params.width: too small\n  -> enlarge it"
    with pytest.raises(ConfigError, match=r"generator: acme:broken can't be built: ZeroDivisionError: by zero"):
        plan(names=theirs, generator="broken").generator.build(IMAGES)
    assert plan().discriminator.build(IMAGES) is not None


@pytest.fixture
def resolvable(tiny):
    sharp = {"use": "charbonnier", "weight": 3, "every": 2}
    return {
        **tiny,
        "augment": [{"use": "jitter_crop", "params": {"load": 72}}, "flip"],
        "losses": {"gan": {"params": {"mode": "hinge"}}, "l1": 0, "sharp": sharp},
        "optimizers": {"generator": {"lr": 1e-4, "betas": [0, 0.9]}},
        "schedule": {"steps": 9},
        "evaluate": {"metrics": ["psnr", {"use": "ssim", "alias": "likeness"}]},
        "tracking": {"tags": {"who": "me"}},
    }


@pytest.mark.parametrize("config", [{"dataset": "shapes"}, "resolvable", *recipe_names()], ids=str)
def test_a_resolved_config_read_back_is_the_same_run(plan, resolvable, config):
    config = resolvable if config == "resolvable" else config
    overrides = {} if isinstance(config, dict) else _root(config)
    first = plan(config, **overrides)
    assert first.problems == ()
    data = first.resolved()
    again = plan(yaml.safe_load(yaml.safe_dump(data)))
    assert again.problems == ()
    assert again.resolved() == data
    assert list(again.metrics) == list(first.metrics)
    assert [*again.losses] == [*first.losses]
    assert [term.weight for term in again.config.losses.values()] == [t.weight for t in first.config.losses.values()]


def _root(recipe: str) -> dict[str, str]:
    needs = "root" in load_config(recipe).raw["dataset"].get("params", {})
    return {"dataset.params.root": "data"} if needs else {}


def test_a_resolved_config_stands_on_its_own(plan, resolvable, registry):
    data = plan(resolvable).resolved()
    assert data["generator"]["use"] == "p2pkit:unet"
    assert data["generator"]["alias"] == "unet_tiny"
    assert data["generator"]["params"]["skips"] is True
    assert data["losses"]["sharp"]["weight"] == 3
    assert data["engine"]["accumulate"] == 1
    changed = resolve(load_config(data, {"generator": "resnet_6"}), registry)
    assert (changed.problems, changed.generator.name) == ((), "resnet_6")


def test_paths_are_made_absolute_for_whoever_reads_them_elsewhere(plan, tiny):
    config = {**tiny, "dataset": {"use": "side_by_side", "params": {"root": "somewhere", "size": 64}}}
    root = plan(config).resolved()["dataset"]["params"]["root"]
    assert root == str(Path("somewhere").absolute())


@pytest.mark.parametrize(
    "key", [None, 1.5, True, date(2024, 1, 1), "~", "[/red]", "list[str]", "[key]", "", "x" * 20_000]
)
@pytest.mark.parametrize("where", ["", "losses", "engine", "dataset", "tracking", "sweep"])
def test_odd_keys_end_in_one_problem(one, tiny, key, where):
    config = (
        {**tiny, where: {"use": "shapes", key: 5} if where == "dataset" else {key: 5}} if where else {**tiny, key: 5}
    )
    found = one(config)
    assert len(found.path) <= 400
    assert str(key)[:40] in f"{found.path} {found.cause}"


def test_a_hundred_thousand_unknown_keys_are_told_in_short(plan, tiny):
    config = {**tiny, **{f"k{i}": i for i in range(100_000)}}
    problems = plan(config).problems
    assert len(problems) == 101
    assert "99,900 mistakes more" in problems[-1].cause
    inside = {**tiny, "generator": {"use": "unet_tiny", "params": {f"k{i}": i for i in range(10_000)}}}
    assert len(plan(inside).problems) == 101


def test_long_values_are_shortened(one, tiny):
    found = one({**tiny, "engine": {"batch": "9" * 5000}})
    assert len(found.cause) < 400
    found = one({**tiny, "generator": "u" * 20_000})
    assert len(found.cause) < 200
