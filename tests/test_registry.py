from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
import yaml

from p2pkit import PluginError, RegistryError
from p2pkit.components import KIND_NAMES
from p2pkit.registry import Registry, load_registry

SWIN = '''
    from typing import Annotated
    from pydantic import Field

    def swin(images, *, depth: Annotated[int, Field(ge=1, description="Number of stages.")] = 4):
        """A transformer."""

    def unet(images):
        """Another U-Net."""

    @p2pkit.hookimpl
    def p2pkit_generators():
        yield p2pkit.Generator("swin", swin)
        yield p2pkit.Generator("unet", unet)
'''


@pytest.fixture
def load(tmp_path: Path):
    """Load a registry.yaml of the given text with one-file plugins of the given names, each offering swin and unet."""

    def load(text: str = "", *plugins: str):
        own = tmp_path / "own"
        own.mkdir(exist_ok=True)
        files = [own / f"{name}.py" for name in plugins]
        for file in files:
            file.write_text("import p2pkit\n" + textwrap.dedent(SWIN))
        (own / "registry.yaml").write_text(textwrap.dedent(text))
        return load_registry(plugin_files=files, discover=False, start=own)

    return load


def problems(load, text: str, *plugins: str):
    with pytest.raises(RegistryError) as caught:
        load(text, *plugins)
    return caught.value.problems


def refused(registry, kind: str, name: str):
    with pytest.raises(RegistryError) as caught:
        registry.resolve(kind, name)
    (problem,) = caught.value.problems
    return problem


def test_paths_may_be_texts(load, tmp_path):
    load("", "acme")
    registry = load_registry(str(tmp_path / "own" / "registry.yaml"), plugin_files=[str(tmp_path / "own" / "acme.py")])
    assert registry.resolve("generator", "swin").component.full_name == "acme:swin"


def test_a_bare_name_is_an_alias_first(registry):
    resolved = registry.resolve("generator", "unet_256")
    assert (resolved.component.full_name, resolved.alias, resolved.params) == ("p2pkit:unet", "unet_256", {"depth": 8})


def test_the_names_of_the_field_are_there(registry):
    wanted = {
        "unet_256",
        "unet_128",
        "unet_64",
        "unet_tiny",
        "encoder_decoder_256",
        "resnet_9",
        "resnet_6",
        "unet_blog",
    }
    assert wanted | {"unet", "resnet"} <= set(registry.names("generator"))
    wanted = {"patch", "multiscale", "patch_70", "pixel", "patch_16", "patch_286", "patch_blog"}
    assert wanted <= set(registry.names("discriminator"))
    assert all(registry.resolve(kind, name) for kind in KIND_NAMES for name in registry.names(kind))


def test_our_own_name_stays_ours_whoever_else_offers_it(load):
    registry = load("", "acme")
    assert registry.resolve("generator", "unet").component.plugin == "p2pkit"
    assert registry.resolve("generator", "acme:unet").component.plugin == "acme"
    assert registry.resolve("generator", "p2pkit:unet").component.plugin == "p2pkit"


def test_prefer_gives_a_name_to_another(load):
    registry = load("prefer: {generator/unet: acme}", "acme")
    assert registry.resolve("generator", "unet").component.plugin == "acme"
    assert registry.resolve("generator", "unet_256").component.plugin == "p2pkit"


def test_the_only_plugin_that_offers_a_name_has_it(load):
    registry = load("", "acme")
    assert registry.resolve("generator", "swin").component.full_name == "acme:swin"
    assert {"swin", "acme:swin", "acme:unet", "unet"} <= set(registry.names("generator"))


def test_a_collision_is_an_error_only_where_it_is_used(load):
    registry = load("", "acme", "umbrella")
    problem = refused(registry, "generator", "swin")
    assert problem.cause == "several plugins offer a generator 'swin': acme:swin, umbrella:swin"
    line = "prefer: {generator/swin: acme}"
    assert problem.remedy == f"write one of these full names, or in registry.yaml `{line}`"
    assert registry.resolve("generator", "umbrella:swin").component.plugin == "umbrella"
    assert "swin" not in registry.names("generator")
    assert load(line, "acme", "umbrella").resolve("generator", "swin").component.plugin == "acme"


@pytest.mark.parametrize(
    ("kind", "name", "remedy"),
    [
        ("generator", "unet_265", "did you mean unet_256 or "),
        ("generator", "acme:unett", "did you mean unet"),
        ("loss", "qqqqqqqq", "`p2pkit list loss` shows all of them"),
    ],
)
def test_an_unknown_name_is_met_with_near_ones(registry, kind, name, remedy):
    problem = refused(registry, kind, name)
    assert problem.cause == f"no {kind} is called {name!r}"
    assert problem.remedy.startswith(remedy)
    assert "failed to load" not in problem.remedy


def test_a_plugin_that_failed_is_named_as_the_likely_cause(install, tmp_path):
    install("raise OSError('no driver')", "acme")
    problem = refused(load_registry(start=tmp_path), "generator", "swin")
    assert "it may belong to a plugin that failed to load: acme (OSError: no driver)" in problem.remedy


def test_a_blocked_plugin_is_named_where_its_component_is_wanted(install, tmp_path):
    install(SWIN, "acme")
    (tmp_path / "registry.yaml").write_text(
        "plugins: {block: [acme]}\nprefer: {generator/swin: acme}\naliases: {generator: {big: {use: 'acme:swin'}}}"
    )
    registry = load_registry(start=tmp_path)
    assert "big" not in registry.names("generator")
    for name in ("acme:swin", "swin", "big"):
        assert f"plugin acme is blocked in {tmp_path / 'registry.yaml'}" in refused(registry, "generator", name).remedy


def test_enable_leaves_the_others_out(install, tmp_path):
    install(SWIN, "acme")
    (tmp_path / "registry.yaml").write_text("plugins: {enable: []}")
    registry = load_registry(start=tmp_path)
    assert next(p.state for p in registry.plugins.found if p.name == "acme") == "not enabled"
    assert "unet_256" in registry.names("generator")


def test_a_file_is_laid_over_the_packaged_one_key_by_key(load):
    registry = load(
        """
        plugins: {block: [p2pkit.mlflow]}
        aliases:
          generator:
            big: {use: "acme:swin", params: {depth: 9}}
            unet_256: {use: unet, params: {depth: 5}}
        """,
        "acme",
    )
    assert registry.resolve("generator", "big").params == {"depth": 9}
    assert registry.resolve("generator", "unet_256").params == {"depth": 5}
    assert registry.resolve("generator", "unet_128").params == {"depth": 7}
    assert registry.resolve("discriminator", "patch_70").params == {"layers": 3}
    assert registry.file.plugins.enable == "all"


def test_the_nearest_file_upward_counts(tmp_path, monkeypatch):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "registry.yaml").write_text("aliases: {generator: {far: {use: unet}}}")
    assert "far" in load_registry(discover=False, start=deep).names("generator")
    (tmp_path / "a" / "registry.yaml").write_text("aliases: {generator: {near: {use: unet}}}")
    monkeypatch.chdir(deep)
    names = load_registry(discover=False).names("generator")
    assert "near" in names
    assert "far" not in names


def test_a_named_file_counts_and_must_exist(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("aliases: {generator: {mine: {use: unet}}}")
    assert "mine" in load_registry(other, discover=False, start=tmp_path).names("generator")
    with pytest.raises(RegistryError, match="there is no such file\n  -> give --registry a file that exists"):
        load_registry(tmp_path / "nowhere.yaml", discover=False)


@pytest.mark.parametrize(
    ("text", "path", "cause", "remedy"),
    [
        ("aliases: {generator", "", "not YAML in line 1, column 20: expected ',' or '}', but got '<stream end>'", ""),
        ("- a\n- b", "", "must hold keys and values, not a list", ""),
        ("plugin: {}", ": plugin", "there is no key 'plugin' here", "did you mean plugins? keys: version, plugins, "),
        ("plugins: {enabled: all}", ": plugins.enabled", "there is no key 'enabled' here", "did you mean enable?"),
        ("version: 2", ": version", "input should be 1, got 2", "Version of this file's format."),
        (
            "plugins: {block: acme}",
            ": plugins.block",
            "input should be a valid list, got 'acme'",
            "Plugins that are ne",
        ),
        ("aliases: {generatr: {}}", ": aliases.generatr", "input should be 'generator', 'discriminator'", ""),
        ("aliases: {loss: {mine: l1}}", ": aliases.loss.mine", "must hold keys and values, got 'l1'", ""),
        ("aliases: {loss: {mine: {params: {}}}}", ": aliases.loss.mine.use", "this key is missing", "The component, "),
        (
            "aliases: {loss: {mine: {use: l11}}}",
            ": aliases.loss.mine.use",
            "no loss is called 'l11'",
            "did you mean l1? ",
        ),
        (
            "aliases: {generator: {mine: {use: unet_256}}}",
            ": aliases.generator.mine.use",
            "'unet_256' is itself an alias",
            "name a component",
        ),
        (
            "aliases: {generator: {'acme:swin': {use: unet}}}",
            ": aliases.generator.acme:swin",
            "an alias has no colon in its name",
            "names with a colon are plugin:name",
        ),
        (
            "aliases: {generator: {mine: {use: unet, params: {dept: 3}}}}",
            ": aliases.generator.mine.params.dept",
            "unet has no parameter 'dept'",
            "did you mean depth or ",
        ),
        (
            "aliases: {generator: {mine: {use: unet, params: {depth: deep}}}}",
            ": aliases.generator.mine.params.depth",
            "input should be a valid integer, unable to parse string as an integer, got 'deep'",
            "",
        ),
        ("prefer: {unet: acme}", ": prefer.unet", "not of the form kind/name", "e.g. generator/swin_unet; kinds: "),
        (
            "prefer: {generator/unet: acme}",
            ": prefer.generator/unet",
            "no plugin 'acme' offers a generator 'unet'",
            "plugins that do: p2pkit",
        ),
    ],
)
def test_a_file_that_is_wrong_is_reported_with_its_path(load, tmp_path, text, path, cause, remedy):
    (problem,) = problems(load, text)
    assert problem.path == f"{tmp_path / 'own' / 'registry.yaml'}{path}"
    assert problem.cause.startswith(cause)
    assert problem.remedy.startswith(remedy)


def test_all_that_is_wrong_is_reported_at_once(load):
    text = """
        prefer: {loss/l1: nobody, strange: acme}
        aliases:
          generator: {mine: {use: nothing}, other: {use: unet, params: {depth: 99, with: 3}}}
    """
    assert [problem.path.partition(": ")[2] for problem in problems(load, text)] == [
        "aliases.generator.mine.use",
        "aliases.generator.other.params.depth",
        "aliases.generator.other.params.with",
        "prefer.loss/l1",
        "prefer.strange",
    ]


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "registry.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegistryError, match="not a text in UTF-8\n  -> save it as UTF-8"):
        load_registry(discover=False, start=tmp_path)


def test_an_empty_file_changes_nothing(load, registry):
    assert load("").file == registry.file


def test_an_alias_may_leave_required_parameters_to_the_config(load):
    registry = load("aliases: {dataset: {mine: {use: side_by_side, params: {size: 64}}}}")
    resolved = registry.resolve("dataset", "mine")
    (problem,) = resolved.problems()
    assert (problem.path, problem.cause) == ("mine.params.root", "side_by_side needs this parameter")
    assert problem.remedy


def test_a_one_file_plugin_that_fails_is_an_error(write_plugin, tmp_path):
    with pytest.raises(PluginError, match="ValueError: no"):
        load_registry(plugin_files=[write_plugin("raise ValueError('no')")], discover=False, start=tmp_path)


def test_the_file_at_the_root_is_the_packaged_one(registry):
    root = Path(__file__).parents[1] / "registry.yaml"
    assert registry.file.model_dump(exclude_unset=True) == yaml.safe_load(root.read_text())


FLAT = """
import p2pkit


class S:
    '''Flat, or "f\u00fcr alle Zeit".'''

    def __call__(self, step):
        return 1


@p2pkit.hookimpl
def p2pkit_schedules():
    yield p2pkit.Schedule("s", S)
"""


def test_names_travel_as_plain_data_with_one_file_plugins(tmp_path):
    file, own = tmp_path / "mine.py", tmp_path / "registry.yaml"
    file.write_text(FLAT, encoding="utf-8")
    own.write_text("{plugins: {block: [p2pkit.mlflow]}, aliases: {schedule: {flat: {use: mine:s}}}}")
    names = load_registry(own, plugin_files=[file], discover=False)
    plain = json.loads(json.dumps(names.plain()))
    file.unlink()
    there = Registry.from_plain(plain)
    assert there.file == names.file
    assert there.resolve("schedule", "flat").component.summary == 'Flat, or "f\u00fcr alle Zeit".'
    states = [[(plugin.name, plugin.state) for plugin in each.plugins.found] for each in (names, there)]
    assert states[0] == states[1]
