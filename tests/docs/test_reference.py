"""Everything that has a name is in the reference."""

import inspect

import pluggy
import pytest
import typer
from pages import PAGES, read
from pydantic import BaseModel

import p2pkit
from p2pkit import hookspecs
from p2pkit.cli import app
from p2pkit.cli.groups import every_command
from p2pkit.components import KINDS, Reader
from p2pkit.config import RunConfig, recipe_names
from p2pkit.config.sections import ComponentConfig
from p2pkit.registry import RegistryFile

COMMANDS = every_command(typer.main.get_command(app))
KIND_PAGES = {kind.kind: f"reference/components/{kind.kind}s.md" for kind in KINDS} | {
    "loss": "reference/components/losses.md"
}


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name: str) -> None:
    page = read("reference/cli.md")
    section = page.partition(f"## p2pkit {name}\n")[2].partition("\n## ")[0]
    assert section, f"command {name} is missing"
    options = [opt for parameter in COMMANDS[name].params for opt in parameter.opts if opt.startswith("-")]
    assert [opt for opt in options if f"`{opt}`" not in section and f"`{opt} " not in section] == []


def leaves(model: type[BaseModel], path: str = "") -> list[str]:
    """Return the keys of a model, as the schema nests them."""
    found = []
    for key, field in model.model_fields.items():
        inner = field.annotation
        if inspect.isclass(inner) and issubclass(inner, BaseModel) and inner is not ComponentConfig:
            found += leaves(inner, f"{path}{key}.")
        else:
            found.append(f"{path}{key}")
    return found


def test_config_keys() -> None:
    page = read("reference/config.md")
    named = ("losses", "tracking.trackers", "sweep.points")
    keys = [key for key in leaves(RunConfig) if key not in named] + ["sweep.points.NAME"]
    assert len(keys) > 40
    keys += [f"losses.NAME.{key}" for key in ("use", "params", "weight", "every")]
    keys += [f"tracking.trackers.NAME.{key}" for key in ("use", "params", "enabled")]
    assert [key for key in keys if f"| `{key}` |" not in page] == []


def test_registry_keys() -> None:
    page = read("reference/registry-yaml.md")
    keys = [key for key in leaves(RegistryFile) if key != "aliases"] + ["aliases.KIND.NAME.use"]
    assert [key for key in keys if f"| `{key}` |" not in page] == []


def test_hooks_have_their_signature_as_heading() -> None:
    manager = pluggy.PluginManager("p2pkit")
    manager.add_hookspecs(hookspecs)
    headings = read("reference/hooks.md").splitlines()
    hooks = [name for name in dir(manager.hook) if name.startswith("p2pkit_")]
    assert len(hooks) >= 11
    for name in hooks:
        arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
        assert f"## {name}({arguments})" in headings


@pytest.mark.parametrize("kind", KIND_PAGES)
def test_components_with_their_parameters_and_aliases(kind: str, registry) -> None:
    page = read(KIND_PAGES[kind])
    offers = [component for component in registry.plugins.components if component.kind == kind]
    assert offers or kind == Reader.kind  # p2pkit's own formats need none
    for component in offers:
        section = page.partition(f"({kind}-{component.name})=\n")[2].partition(f"\n({kind}-")[0]
        assert section.startswith(f"## {component.name}\n")
        assert [name for name in component.parameters.model_fields if f"| `{name}` |" not in section] == []
    listed = read("reference/names.md")
    assert [name for name in registry.names(kind) if f"[`{name}`](#{kind}-" not in listed] == []


def test_recipes() -> None:
    page = read("reference/recipes.md")
    assert [name for name in recipe_names() if f"\n## {name}\n" not in page] == []


def test_public_names() -> None:
    page = read("reference/python.md")
    assert [name for name in p2pkit.__all__ if f"### {name}\n" not in page and f"`p2pkit.{name}`" not in page] == []


def test_error_classes() -> None:
    page = read("reference/errors.md")
    named = [getattr(p2pkit, name) for name in p2pkit.__all__]
    errors = [thing.__name__ for thing in named if inspect.isclass(thing) and issubclass(thing, Exception)]
    assert len(errors) >= 8
    assert [name for name in errors if f"\n## {name}\n" not in page] == []


def test_nothing_names_a_machine_or_a_ticket() -> None:
    assert len(PAGES) > 30
    for page in PAGES:
        text = read(page)
        assert not [word for word in ("/work", "/opt/", "/tmp", "A/B", "TODO") if word in text], page
