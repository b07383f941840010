from __future__ import annotations

import sys
import textwrap

import pytest

from p2pkit import PluginError
from p2pkit.plugins.finding import BUILTIN
from p2pkit.plugins.loading import Plugins

GOOD = '''
    def lines(*, width: int = 1):
        """Lines."""

    @p2pkit.hookimpl
    def p2pkit_losses():
        yield p2pkit.Loss("lines", lines)
'''

BAD = {
    "raises at import": ("raise ValueError('no licence')", "ValueError: no licence"),
    "leaves at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "lacks a dependency": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "is not Python": ("def", "SyntaxError: invalid syntax"),
    "is of a later API": (
        "P2PKIT_PLUGIN_API = 3",
        "RuntimeError: written for plugin API 3, this p2pkit has 2; upgrade p2pkit",
    ),
    "misspells a hook": (
        "@p2pkit.hookimpl\ndef p2pkit_generator(): return []",
        "there is no hook p2pkit_generator; the hooks are p2pkit_generators, p2pkit_discriminators",
    ),
    "forgets the marker": ("def p2pkit_losses(): return []", "p2pkit_losses is not marked with @p2pkit.hookimpl"),
    "names a wrong argument": ("@p2pkit.hookimpl\ndef p2pkit_scalars(run, losses): pass", "Argument(s) {'losses'}"),
    "fails while it offers": (
        "@p2pkit.hookimpl\ndef p2pkit_losses():\n    yield p2pkit.Loss('fine', list)\n    raise OSError('disk')",
        "OSError: disk",
    ),
    "offers another kind": (
        "@p2pkit.hookimpl\ndef p2pkit_losses(): yield p2pkit.Metric('fine', dict)",
        "TypeError: p2pkit_losses yielded Metric(",
    ),
    "offers a bare factory": (
        "def mine(): '''Mine.'''\n@p2pkit.hookimpl\ndef p2pkit_losses(): return [mine]",
        "not a p2pkit.Loss",
    ),
    "offers a name twice": (
        "def mine(): '''Mine.'''\n@p2pkit.hookimpl\ndef p2pkit_losses(): return [p2pkit.Loss('mine', mine)] * 2",
        "ValueError: p2pkit_losses offers 'mine' twice",
    ),
    "hides its parameters": (
        "def mine(**options): '''Mine.'''\n@p2pkit.hookimpl\ndef p2pkit_losses(): yield p2pkit.Loss('mine', mine)",
        "TypeError: mine: **options hides its parameters",
    ),
    "has a parameter without a schema": (
        "def mine(*, f: type(dir)): 'Mine.'\n@p2pkit.hookimpl\ndef p2pkit_losses(): yield p2pkit.Loss('mine', mine)",
        "PydanticSchemaGenerationError",
    ),
}


def found(plugins: Plugins, name: str):
    return next(plugin for plugin in plugins.found if plugin.name == name)


def names(plugins: Plugins) -> set[str]:
    return {component.full_name for component in plugins.components}


@pytest.fixture(scope="module")
def builtin() -> Plugins:
    return Plugins(discover=False)


def test_builtins_come_through_the_same_hooks(builtin):
    assert [(p.name, p.state, p.error) for p in builtin.found] == [(name, "loaded", "") for name, _ in BUILTIN]
    assert {plugin.origin for plugin in builtin.found} == {"p2pkit"}
    assert "p2pkit:unet" in names(builtin)
    assert builtin.versions() == {}


def test_mlflow_is_a_tracker_that_takes_part_in_every_run(builtin):
    (tracker,) = found(builtin, "p2pkit.mlflow").components
    assert (tracker.full_name, tracker.always) == ("p2pkit:mlflow", True)


@pytest.mark.parametrize(("stated", "api"), [("", 1), ("P2PKIT_PLUGIN_API = 1", 1), ("P2PKIT_PLUGIN_API = 2", 2)])
def test_components_know_the_api_they_are_written_for(write_plugin, stated, api):
    plugins = Plugins(files=[write_plugin(f"{GOOD}\n    {stated}\n", "stated")], discover=False)
    assert [component.api for component in found(plugins, "stated").components] == [api]


def test_an_installed_plugin_is_found_with_its_distribution(install):
    install(GOOD + "\n    @p2pkit.hookimpl\n    def p2pkit_checkpointed(path): ...\n")
    plugins = Plugins()
    plugin = found(plugins, "acme")
    assert (plugin.state, plugin.origin, plugin.version, plugin.error) == ("loaded", "acme-dist", "1.2", "")
    assert [component.full_name for component in plugin.components] == ["acme:lines"]
    assert plugin.events == ("p2pkit_checkpointed",)
    assert plugins.versions()["acme"] == "1.2"


@pytest.mark.parametrize(("code", "error"), BAD.values(), ids=BAD)
def test_a_bad_plugin_harms_none_but_itself(install, builtin, code, error):
    install(code, "aaa_bad")
    install(GOOD, "zzz_good")
    plugins = Plugins(enable=["aaa_bad", "zzz_good"])
    bad = found(plugins, "aaa_bad")
    assert (bad.state, bad.components, bad.events) == ("failed", (), ())
    assert error in bad.error
    assert plugins.failed == [bad]
    assert names(plugins) == names(builtin) | {"zzz_good:lines"}
    assert not plugins.manager.has_plugin("aaa_bad")
    callers = [caller for name, caller in vars(plugins.manager.hook).items() if not name.startswith("_")]
    assert {i.plugin_name for caller in callers for i in caller.get_hookimpls()} <= {p.name for p in plugins.found} - {
        "aaa_bad"
    }


MIXED = """
    from torch import nn

    class Fine(nn.Module):
        '''Fine.'''

    def hidden(**options):
        '''Hidden.'''

    @p2pkit.hookimpl
    def p2pkit_losses():
        yield p2pkit.Loss("fine", Fine)
        yield p2pkit.Loss("hidden", hidden)
        yield hidden
        yield p2pkit.Loss("twice", Fine)
        yield p2pkit.Loss("twice", Fine)
"""


def test_a_component_that_cannot_be_used_is_left_out_alone(install):
    install(MIXED)
    plugins = Plugins(enable=["acme"])
    plugin = found(plugins, "acme")
    assert (plugin.state, plugin.error) == ("loaded", "")
    assert [component.full_name for component in plugin.components] == ["acme:fine"]
    hidden, bare, twice = plugin.left_out
    assert hidden.startswith("TypeError: hidden: **options hides its parameters")
    assert "not a p2pkit.Loss" in bare
    assert twice == "ValueError: p2pkit_losses offers 'twice' twice"
    assert len(plugins.complaints()) == 3


def test_what_a_plugin_prints_is_no_part_of_an_answer(install, capsys):
    install("print('hello')\n" + textwrap.dedent(GOOD))
    assert found(Plugins(enable=["acme"]), "acme").state == "loaded"
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


@pytest.fixture
def two_owners(install):
    """Two distributions with a plugin `acme`."""
    site = install(GOOD, "acme", "acme_one")
    other = site / "zeta_dist-3.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: Zeta_Dist\nVersion: 3.0\n")
    (other / "entry_points.txt").write_text("[p2pkit.plugins]\nacme = zeta_module\n")
    (site / "zeta_module.py").write_text("raise RuntimeError('imported')")


def test_a_name_of_two_distributions_is_nobodys(two_owners):
    plugins = Plugins(enable=["acme"])
    assert {(plugin.origin, plugin.state) for plugin in plugins.failed} == {
        ("acme-dist", "failed"),
        ("Zeta_Dist", "failed"),
    }
    (error,) = {plugin.error for plugin in plugins.failed}
    assert error == (
        "Zeta_Dist and acme-dist both have a plugin 'acme', so neither is imported; uninstall one, or write "
        "`plugins: {block: [acme@acme-dist]}`"
    )
    assert "acme_one" not in sys.modules


@pytest.mark.parametrize("rules", [{"enable": ["acme@acme_dist"]}, {"block": ["acme@zeta-dist"]}])
def test_a_name_can_be_bound_to_a_distribution(two_owners, rules):
    plugins = Plugins(**rules)
    states = {plugin.origin: plugin.state for plugin in plugins.found if plugin.name == "acme"}
    assert states == {"acme-dist": "loaded", "Zeta_Dist": "blocked" if "block" in rules else "not enabled"}
    assert "acme:lines" in names(plugins)
    assert "zeta_module" not in sys.modules


def test_a_bound_name_lets_no_other_distribution_in(install):
    install("raise RuntimeError('imported')", "acme", "acme_impostor")
    plugins = Plugins(enable=["acme@acme-original"])
    assert found(plugins, "acme").state == "not enabled"
    assert "acme_impostor" not in sys.modules


def test_a_blocked_plugin_is_not_imported(install):
    install("raise RuntimeError('imported')", "acme", "acme_traces")
    plugins = Plugins(block=["acme"])
    assert "acme_traces" not in sys.modules
    plugin = found(plugins, "acme")
    assert (plugin.state, plugin.error, plugin.version) == ("blocked", "", "1.2")
    assert plugins.failed == []


def test_with_a_list_nothing_else_is_imported(install):
    install(GOOD, "wanted")
    install("raise RuntimeError('imported')", "other", "other_traces")
    plugins = Plugins(enable=["wanted"])
    assert "other_traces" not in sys.modules
    assert found(plugins, "other").state == "not enabled"
    assert {"wanted:lines", "p2pkit:unet"} <= names(plugins)


def test_a_builtin_can_be_blocked():
    plugins = Plugins(block=["p2pkit.mlflow"], discover=False)
    assert found(plugins, "p2pkit.mlflow").state == "blocked"
    assert found(plugins, "p2pkit.losses").state == "loaded"


def test_two_plugins_of_one_name(install, write_plugin):
    install(GOOD)
    file = write_plugin(GOOD, "acme")
    with pytest.raises(PluginError, match="another plugin is already called 'acme'; uninstall or block one of the two"):
        Plugins(files=[file])


def test_two_names_for_one_module_leave_the_first_in_place(install):
    install(GOOD, "first", "shared_module")
    install(GOOD, "second", "shared_module")
    plugins = Plugins()
    assert "already registered" in found(plugins, "second").error
    assert plugins.manager.has_plugin("first")
    assert "first:lines" in names(plugins)


def test_no_plugin_can_pass_for_the_builtins(install, builtin):
    install(GOOD, "p2pkit", "impostor_module")
    plugins = Plugins(enable=["p2pkit"])
    assert plugins.failed[0].error == "the name 'p2pkit' is p2pkit's own; rename the entry point or file"
    assert names(plugins) == names(builtin)
    assert "impostor_module" not in sys.modules


def test_a_module_named_like_a_hook_is_none(install, monkeypatch):
    monkeypatch.setitem(sys.modules, "p2pkit_swin", sys)
    install("import p2pkit_swin\np2pkit_colour = 'red'", "swin")
    assert found(Plugins(), "swin").state == "loaded"


def test_one_file_is_a_plugin(write_plugin):
    plugins = Plugins(files=[write_plugin(GOOD, "my_lines")], discover=False)
    plugin = found(plugins, "my_lines")
    assert (plugin.state, plugin.version) == ("loaded", "")
    assert plugin.origin.endswith("my_lines.py")
    assert "my_lines:lines" in names(plugins)
    assert plugins.versions() == {"my_lines": plugin.origin}


def test_types_for_type_checkers_only_in_a_plugin(write_plugin):
    code = """
        class Net:
            '''A network.'''

            def __init__(self, images: PairSpec, *, depth: Annotated[int, Field(ge=1)] = 2) -> None: ...

        @p2pkit.hookimpl
        def p2pkit_generators() -> Iterable[p2pkit.Generator]:
            return [p2pkit.Generator("net", Net)]
    """
    file = write_plugin(code)
    imports = """\
from __future__ import annotations
from typing import TYPE_CHECKING, Annotated
from pydantic import Field
if TYPE_CHECKING:
    from collections.abc import Iterable
    from p2pkit import PairSpec
"""
    file.write_text(imports + file.read_text())
    assert "acme:net" in names(Plugins(files=[file], discover=False))


@pytest.mark.parametrize(("code", "error"), [BAD["raises at import"], BAD["misspells a hook"]])
def test_one_file_that_fails_is_an_error_at_once(write_plugin, code, error):
    file = write_plugin(code, "mine")
    with pytest.raises(PluginError) as caught:
        Plugins(files=[file], discover=False)
    (problem,) = caught.value.problems
    assert problem.path == str(file)
    assert error in problem.cause
    assert problem.remedy == "mend the file that --plugin names"


def test_a_file_that_failed_to_run_is_no_module(write_plugin):
    with pytest.raises(PluginError):
        Plugins(files=[write_plugin("raise ValueError", "short_lived")], discover=False)
    assert "p2pkit_plugin_short_lived" not in sys.modules


@pytest.mark.parametrize(
    ("name", "error"), [("missing.py", "there is no such file"), ("notes.txt", "not a Python file")]
)
def test_a_file_that_is_no_plugin(tmp_path, name, error):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(PluginError, match=error):
        Plugins(files=[tmp_path / name], discover=False)
