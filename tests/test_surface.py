"""The public surface is what surface.json says; whoever changes it edits that file on purpose."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import json
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import p2pkit
from p2pkit import hookspecs, layers, mlflow_store, testing, untyped
from p2pkit.catalog import type_name
from p2pkit.cli import app
from p2pkit.cli.groups import every_command
from p2pkit.components import KIND_NAMES
from p2pkit.config import RunConfig, recipe_names
from p2pkit.config.model import LossConfig
from p2pkit.config.sections import ComponentConfig
from p2pkit.registry import Alias, Registry, RegistryFile, load_registry

FILE = Path(__file__).with_name("surface.json")
WRITE = "P2PKIT_WRITE_SURFACE"
WHAT_TO_DO = f"""\
the public surface is not what {FILE.name} says (- was, + is now).
Not meant? Then undo it: names, parameters, defaults and options are promises to users and plugins.
Meant? docs/explanation/stability.md says what may change when; then run
  {WRITE}=1 pytest tests/test_surface.py
and commit {FILE.name} together with a line in CHANGELOG.md.

"""


def surface(registry: Registry) -> dict[str, Any]:
    """Return everything that users and plugins may rely on, as plain data."""
    return {
        "plugin_api": p2pkit.PLUGIN_API,
        "hooks": {name: _signature(hook) for name, hook in vars(hookspecs).items() if name.startswith("p2pkit_")},
        "names": {name: _described(getattr(p2pkit, name)) for name in p2pkit.__all__ if name != "__version__"},
        "layers": {name: _described(getattr(layers, name)) for name in layers.__all__},
        "mlflow_store": {name: _described(getattr(mlflow_store, name)) for name in mlflow_store.__all__},
        "testing": {name: _described(getattr(testing, name)) for name in testing.__all__},
        "commands": _commands(),
        "config": _keys(RunConfig) | _keys(LossConfig, "losses.NAME."),
        "registry": _keys(RegistryFile) | _keys(Alias, "aliases.KIND.NAME."),
        "recipes": recipe_names(),
        "components": {kind: _components(registry, kind) for kind in KIND_NAMES},
    }


def _aliases_written_out(text: str) -> str:
    """Write types as they are: names for what has no type are not promised."""
    written = untyped.WRITTEN_OUT
    return re.sub(rf"\b({'|'.join(written)})\b", lambda found: written[found[0]], text)


def _signature(function: Any) -> str:
    """Write a signature; annotations, which are texts in most modules, without their quotes."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def _described(thing: Any) -> Any:
    """Describe a function by its signature; a class by its bases, fields or arguments, and public members."""
    if not inspect.isclass(thing):
        return _signature(thing) if callable(thing) else type(thing).__name__
    about: dict[str, Any] = {"bases": [base.__name__ for base in thing.__bases__]}
    if dataclasses.is_dataclass(thing):
        about["fields"] = {field.name: _field(field) for field in dataclasses.fields(thing)}
    elif "__init__" in vars(thing):
        about["arguments"] = _signature(thing)
    members = {name: member for name, member in vars(thing).items() if not name.startswith("_")}
    fields = about.get("fields", {})
    about["members"] = {name: _member(member) for name, member in sorted(members.items()) if name not in fields}
    notes = inspect.get_annotations(thing)
    about["members"] |= {name: str(notes[name]) for name in sorted(notes) if name not in fields and name[0] != "_"}
    return about


def _member(member: Any) -> str:
    function = getattr(member, "__func__", member)
    if inspect.isfunction(function):
        return _signature(function)
    return "property" if isinstance(member, property | functools.cached_property) else type(member).__name__


def _field(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"{field.type} = {field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.type} = {field.default_factory()!r}"
    return str(field.type)


def _commands() -> dict[str, dict[str, str]]:
    functions = {info.name: info.callback for info in app.registered_commands}
    for group in app.registered_groups:
        infos = group.typer_instance.registered_commands
        functions |= {f"{group.name} {info.name or info.callback.__name__}": info.callback for info in infos}
    commands = every_command(typer.main.get_command(app))
    return {name: _options(command, functions[name]) for name, command in commands.items()}


def _options(command: Any, function: Any) -> dict[str, str]:
    """Describe arguments and options; a long option stands for its short form too."""
    types = typing.get_type_hints(function)
    described = {}
    for parameter in command.params:
        if parameter.name in types:  # the rest is --help
            option = parameter.param_type_name == "option"
            default = "required" if parameter.required else repr(parameter.default)
            name = ", ".join(parameter.opts) if option else parameter.name.upper()
            described[name] = f"{type_name(types[parameter.name])} = {default}"
    return described


def _keys(model: type[BaseModel], path: str = "") -> dict[str, str]:
    """List the keys of a model and of its sections: type and default."""
    found = {}
    for key, field in model.model_fields.items():
        inner = field.annotation
        if inspect.isclass(inner) and issubclass(inner, BaseModel) and inner is not ComponentConfig:
            found |= _keys(inner, f"{path}{key}.")
        else:
            default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            found[f"{path}{key}"] = f"{type_name(inner)}{_bounds(field)} = {default}"
    return found


def _bounds(field: FieldInfo) -> str:
    """Write the limits of a number: narrower ones refuse what was accepted."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [(sign, getattr(each, name, None)) for each in field.metadata for name, sign in signs.items()]
    return "".join(f", {sign} {limit}" for sign, limit in limits if limit is not None)


def _components(registry: Registry, kind: str) -> dict[str, Any]:
    """List names that ship with p2pkit, with parameters and defaults; an alias by what it fills in."""
    aliases = {name: {"use": alias.use, "params": alias.params} for name, alias in registry.aliases(kind).items()}
    bare = [name for name in registry.names(kind) if name not in aliases]
    return {name: _parameters(registry, name, kind) for name in bare} | aliases


def _parameters(registry: Registry, name: str, kind: str) -> dict[str, str]:
    return _keys(registry.resolve(kind, name).component.parameters)


@pytest.fixture(scope="module")
def now() -> str:
    registry = load_registry(Path(__file__).parents[1] / "registry.yaml", discover=False)
    return _aliases_written_out(json.dumps(surface(registry), indent=1)) + "\n"


def test_the_surface_is_as_agreed(now):
    if os.environ.get(WRITE):
        FILE.write_text(now, encoding="utf-8")
    agreed = FILE.read_text(encoding="utf-8")
    if json.loads(agreed) != json.loads(now):
        pytest.fail(WHAT_TO_DO + "\n".join(_changes(json.loads(agreed), json.loads(now))), pytrace=False)


def _changes(agreed: Any, now: Any) -> list[str]:
    """List what was and what is now, each with its whole path."""
    lines = difflib.ndiff(sorted(_leaves(agreed)), sorted(_leaves(now)))
    return [line for line in lines if line[0] in "+-"]


def _leaves(data: Any, path: str = "") -> Iterator[str]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{path} > {key}" if path else key)
    else:
        yield f"{path}: {data if isinstance(data, str) else json.dumps(data)}"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("plugin_api",), 2),
        (("hooks", "p2pkit_scalars"), "(run: Run, step: int, scalars: Mapping[str, float]) -> str | None"),
        (("names", "Pair", "fields", "name"), "str"),
        (("names", "ImageSpec", "fields", "high"), "float = 255.0"),
        (("names", "ModelError", "bases"), ["P2pkitError"]),
        (("names", "PairDataset", "members", "splits"), "tuple[str, ...]"),
        (("names", "Report", "members", "gains"), "property"),
        (("commands", "train", "--set, -s"), "list[str] | null = None"),
        (("config", "optimizers.generator.lr"), "float, > 0 = 0.0002"),
        (("config", "losses.NAME.weight"), "float, >= 0 = 1.0"),
        (("registry", "plugins.block"), "list[str] = []"),
        (("components", "generator", "unet", "depth"), "int, >= 2, <= 10 = 8"),
        (("components", "discriminator", "patch_70"), {"use": "p2pkit:patch", "params": {"layers": 3}}),
        (("components", "metric", "l1"), {}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_the_file_says_what_people_rely_on(place, expected):
    found = json.loads(FILE.read_text(encoding="utf-8"))
    for key in place:
        found = found[key]
    assert found == expected


def test_a_change_is_told_with_what_to_do(now, monkeypatch, tmp_path):
    old = tmp_path / "surface.json"
    old.write_text(
        now.replace(
            '"unet": {\n    "depth": "int, >= 2, <= 10 = 8"', '"unet": {\n    "depth": "int, >= 2, <= 10 = 7"'
        ).replace('"p2pkit_metrics"', '"p2pkit_score"')
    )
    monkeypatch.setitem(globals(), "FILE", old)
    monkeypatch.delenv(WRITE, raising=False)
    with pytest.raises(pytest.fail.Exception) as told:
        test_the_surface_is_as_agreed(now)
    said = str(told.value)
    assert [line for line in said.splitlines() if line[:2] in ("- ", "+ ")] == [
        "- components > generator > unet > depth: int, >= 2, <= 10 = 7",
        "+ components > generator > unet > depth: int, >= 2, <= 10 = 8",
        "+ hooks > p2pkit_metrics: () -> Iterable[Metric]",
        "- hooks > p2pkit_score: () -> Iterable[Metric]",
    ]
    assert f"{WRITE}=1 pytest tests/test_surface.py" in said
    monkeypatch.setenv(WRITE, "1")
    test_the_surface_is_as_agreed(now)
    assert old.read_text() == now
