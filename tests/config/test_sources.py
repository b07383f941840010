from __future__ import annotations

import pytest

from p2pkit import ConfigError
from p2pkit.config import load_config, parse_overrides, recipe_names

RECIPES = {"demo", "facades", "facades_blog", "facades_paper", "maps", "edges", "colorize", "labels"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write YAML files into the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    return write


def raw(config, *settings: str):
    return load_config(config, parse_overrides(settings)).raw


def problem(config, *settings: str):
    with pytest.raises(ConfigError) as caught:
        raw(config, *settings)
    (found,) = caught.value.problems
    return found


def test_the_recipes_ship_with_the_package():
    assert set(recipe_names()) >= RECIPES


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_called_by_name_and_documents_itself(name):
    source = load_config(name)
    assert (source.name, source.origin) == (name.rpartition("/")[2], name)
    assert source.raw["summary"]
    assert source.raw["origin"]


def test_short_forms_are_spelt_out():
    short = {
        "dataset": "shapes",
        "augment": ["flip", {"use": "jitter_crop", "params": {"load": 72}}],
        "generator": "unet_tiny",
        "losses": {"gan": {"params": {"mode": "hinge"}}, "l1": 100, "sharp": {"use": "charbonnier"}},
        "evaluate": {"metrics": ["l1", "psnr"]},
    }
    assert load_config(short).raw == {
        "dataset": {"use": "shapes"},
        "augment": [{"use": "flip"}, {"use": "jitter_crop", "params": {"load": 72}}],
        "generator": {"use": "unet_tiny"},
        "discriminator": {"use": "patch_70"},
        "losses": {
            "gan": {"use": "gan", "params": {"mode": "hinge"}},
            "l1": {"use": "l1", "weight": 100},
            "sharp": {"use": "charbonnier"},
        },
        "evaluate": {"metrics": [{"use": "l1"}, {"use": "psnr"}]},
    }


def test_reading_changes_nothing_of_the_callers():
    config = {"extends": "facades", "losses": {"l1": 5}}
    load_config(config, {"losses.l1": 6})
    assert config == {"extends": "facades", "losses": {"l1": 5}}


@pytest.mark.parametrize(
    ("setting", "keys", "value"),
    [
        ("losses.l1=50", ("losses", "l1", "weight"), 50),
        ("losses.l1.weight=50", ("losses", "l1", "weight"), 50),
        ("generator=resnet_9", ("generator",), {"use": "resnet_9"}),
        ("generator.params.width=12", ("generator",), {"use": "unet_tiny", "params": {"width": 12}}),
        ("augment=[flip]", ("augment",), [{"use": "flip"}]),
        ("optimizers.generator.betas=[0, 0.9]", ("optimizers", "generator", "betas"), [0, 0.9]),
        ("engine.clip=null", ("engine", "clip"), None),
        ("losses.tv={use: total_variation, weight: 2}", ("losses", "tv"), {"use": "total_variation", "weight": 2}),
        ("tracking.name=a=b", ("tracking", "name"), "a=b"),
    ],
)
def test_settings_change_one_key(tiny, setting, keys, value):
    found = raw(tiny, setting)
    for key in keys:
        found = found[key]
    assert found == value


def test_settings_reach_into_lists_by_index(tiny):
    config = {**tiny, "augment": [{"use": "jitter_crop", "params": {"load": 286}}, "flip"]}
    changed = raw(config, "augment.0.params.load=300", "augment.1=rotate90")["augment"]
    assert changed == [{"use": "jitter_crop", "params": {"load": 300}}, {"use": "rotate90"}]


def test_an_index_beyond_the_list_is_an_error(tiny):
    found = problem({**tiny, "augment": ["flip"]}, "augment.1.params.probability=1")
    assert str(found) == "augment.1: there is no item 1\n  -> items count from 0; the last one is 0"
    assert problem({**tiny, "augment": []}, "augment.0=flip").remedy.endswith("the list is empty")


def test_null_removes_a_term(tiny):
    assert list(raw(tiny, "losses.gan=null")["losses"]) == ["l1"]


def test_settings_change_what_a_config_leaves_to_the_defaults():
    changed = raw({"dataset": "shapes"}, "losses.l1=50", "generator.params.width=8")
    assert changed["losses"] == {"gan": {"use": "gan"}, "l1": {"use": "l1", "weight": 50}}
    assert changed["generator"] == {"use": "unet_256", "params": {"width": 8}}
    assert list(raw({"dataset": "shapes", "losses": {"l1": 100}}, "losses.l1=50")["losses"]) == ["l1"]


def test_parameters_go_with_the_component_they_belong_to(tiny):
    config = {
        **tiny,
        "generator": {"use": "unet", "params": {"depth": 5}},
        "losses": {"gan": {"params": {"mode": "wgan"}}},
    }
    assert raw(config, "generator=resnet_6")["generator"] == {"use": "resnet_6"}
    assert raw(config, "generator.use=unet")["generator"]["params"] == {"depth": 5}
    assert raw(config, "losses.gan.use=l2", "losses.gan.weight=3")["losses"]["gan"] == {"use": "l2", "weight": 3}


def test_mappings_override_nested_or_with_dots(tiny):
    dotted = load_config(tiny, {"losses.l1.weight": 7, "engine.batch": 2}).raw
    nested = load_config(tiny, {"losses": {"l1": {"weight": 7}}, "engine": {"batch": 2}}).raw
    assert dotted == nested


def test_all_bad_settings_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["losses.l1", "=3", "engine.batch=[1", "engine.seed=3"])
    found = caught.value.problems
    assert [problem.path for problem in found] == ["-s losses.l1", "-s =3", "-s engine.batch=[1"]
    assert found[0].cause == "not of the form key=value"
    assert found[0].remedy == "e.g. -s losses.l1.weight=50"
    assert found[2].cause.startswith("the value is not YAML in line 1")


def test_a_file_extends_a_recipe_or_a_file_beside_it(write):
    write("base/middle.yaml", "extends: ../first.yaml\nlosses: {l1: 10}\nsummary: middle")
    write("first.yaml", "dataset: shapes\ngenerator: {use: unet, params: {depth: 5}}\nlosses: {gan: 1, l1: 100}")
    last = write("last.yaml", "extends: base/middle.yaml\ngenerator: {params: {width: 8}}\nlosses: {gan: null, l2: 3}")
    source = load_config(last)
    assert source.name == "last"
    assert source.raw["generator"] == {"use": "unet", "params": {"depth": 5, "width": 8}}
    assert source.raw["losses"] == {"l1": {"use": "l1", "weight": 10}, "l2": {"use": "l2", "weight": 3}}
    assert "summary" not in source.raw
    assert raw(write("mine.yaml", "extends: facades"))["generator"] == {"use": "unet_256"}


def test_files_of_one_name_in_two_folders_are_no_loop(write):
    write("common/run.yaml", "dataset: shapes")
    write("common/base.yaml", "extends: run.yaml\nengine: {batch: 3}")
    assert raw(write("run.yaml", "extends: common/base.yaml"))["engine"] == {"batch": 3}


def test_a_loop_is_an_error(write):
    write("a.yaml", "extends: sub/b.yaml")
    write("sub/b.yaml", "extends: ../a.yaml")
    assert str(problem("a.yaml")) == "a.yaml: extends itself: a.yaml -> sub/b.yaml -> a.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: [facades, maps]", "mine.yaml: extends: must name a recipe or a file, got ['facades', 'maps']"),
        ("extends: facade", "mine.yaml: there is no recipe or file 'facade'\n  -> did you mean facades"),
        ("losses: {l1", "mine.yaml: not YAML in line 1, column 12: expected ',' or '}', but got '<stream end>'"),
        ("- l1", "mine.yaml: must hold keys and values, not a list"),
    ],
)
def test_a_file_that_is_wrong(write, text, message):
    assert str(problem(write("mine.yaml", text))).startswith(message)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff")
    assert problem(tmp_path / "image.yaml").cause == "not a text in UTF-8"


def test_an_unknown_recipe_is_met_with_near_ones():
    found = problem("facade")
    assert found.cause == "there is no recipe or file 'facade'"
    assert found.remedy.startswith("did you mean facades")
    assert "recipes: colorize, demo, " in found.remedy


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: 0x" + "f" * 5000, "[a]: 1", "a: " + "[" * 99])
def test_every_way_in_refuses_odd_yaml(write, text):
    name = write("odd.yaml", text)
    assert problem(name).path == name
    assert "line 1, column" in problem(name).cause
    assert "the value is not YAML in line 1" in problem("demo", f"tracking={text}").cause


def test_a_long_chain_of_files(write):
    for i in range(30):
        write(f"{i}.yaml", f"extends: {i + 1}.yaml\n")
    assert "extends a file that extends another, 20 times" in problem("0.yaml").cause


@pytest.mark.parametrize("name", ["x" * 20_000, "a\0b", "[/red]", "~"])
def test_names_of_no_file(name):
    assert "there is no recipe or file" in problem(name).cause
    assert len(problem(name).cause) < 200


def test_a_key_of_a_thousand_parts():
    assert "has 1000 parts" in problem("demo", ".".join("a" * 1000) + "=1").cause


def test_a_mapping_that_holds_itself():
    cyclic: dict[str, object] = {"dataset": "shapes"}
    cyclic["losses"] = {"l1": {"params": cyclic}}
    assert "holds itself" in problem(cyclic).cause
