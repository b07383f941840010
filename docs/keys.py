"""Tables of the keys of a pydantic model: a run's config, registry.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from rendering import Schema, code, plain, table, type_text, value

from p2pkit.config import RunConfig
from p2pkit.registry import RegistryFile

HEADER = ["key", "type", "default", "meaning"]
_OWN_NAMES = {"aliases": "KIND"}


def config_keys() -> str:
    """Describe every key of a run's config, a section for each key at the top that has keys of its own."""
    schema, defaults = (
        RunConfig.model_json_schema(),
        RunConfig.model_validate({"dataset": {"use": ""}}).model_dump(mode="json"),
    )
    sections, single = [], []
    for key, about in schema["properties"].items():
        rows = list(_rows(key, about, schema["$defs"], defaults, key in schema["required"]))
        if len(rows) == 1:
            single += rows
        else:
            heading = f"(config-{key})=\n## {key}\n\n{plain(_description(RunConfig, key))}"
            sections.append(f"{heading}\n\n{table(HEADER, rows)}")
    return "\n\n".join([f"## The run as a whole\n\n{table(HEADER, single)}", *sections])


def registry_keys() -> str:
    """Describe every key of registry.yaml."""
    schema, defaults = RegistryFile.model_json_schema(), RegistryFile().model_dump(mode="json")
    keys = schema["properties"].items()
    return table(HEADER, [row for key, about in keys for row in _rows(key, about, schema["$defs"], defaults, False)])


def _description(model: type[BaseModel], key: str) -> str:
    return model.model_fields[key].description or ""


def _rows(
    path: str, about: Schema, definitions: Mapping[str, Schema], default: Any, required: bool
) -> Iterator[list[str]]:
    """Yield a row for each key at and below a path; names and numbers of one's own stand in capitals."""
    key = path.rpartition(".")[2]
    default = default[key] if isinstance(default, dict) and key in default else about.get("default")
    section, number = _section(about)
    if section is not None:  # one that may be null, or a list of them: a row for itself, and one for each key below
        yield [code(path), code(type_text(about, definitions)), code(_short(default)), plain(about["description"])]
        yield from _rows(f"{path}{number}", section, definitions, None, False)
        return
    below = definitions[about["$ref"].rpartition("/")[2]] if "$ref" in about else about
    inner = next(iter(below.get("patternProperties", {}).values()), below.get("additionalProperties"))
    if "properties" in below and not _is_component(about):
        for name, each in below["properties"].items():
            yield from _rows(f"{path}.{name}", each, definitions, default, name in below.get("required", ()))
    elif isinstance(inner, dict) and ("$ref" in inner or "additionalProperties" in inner):
        yield from _rows(f"{path}.{_OWN_NAMES.get(path, 'NAME')}", inner, definitions, None, False)
    else:
        written = "required" if required else code(_short(default))
        yield [code(path), code(type_text(about, definitions)), written, plain(about.get("description", ""))]


def _section(about: Schema) -> tuple[Schema | None, str]:
    """Return the section that a key may hold beside null, or in a list, and what its keys' paths have of that."""
    item = about.get("items", {})
    if "$ref" in item and not _is_component(item):
        return item, ".N"
    return next((each for each in about.get("anyOf", ()) if "$ref" in each), None), ""


def _is_component(about: Schema) -> bool:
    return bool(about.get("$ref", "").endswith("/ComponentConfig"))


def _short(default: Any) -> str:
    """Write a default; a component by its name alone."""
    if isinstance(default, list):
        return "[" + ", ".join(map(_short, default)) + "]"
    return str(default["use"]) if isinstance(default, dict) and "use" in default else value(default)
