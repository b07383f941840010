"""The config's JSON schema, with every component's parameters, for editors."""

from __future__ import annotations

from typing import Any

from p2pkit.components import Component
from p2pkit.config.model import ComponentConfig, DatasetConfig, LossConfig, RunConfig, Section
from p2pkit.config.sources import recipe_names
from p2pkit.registry import Registry

Schema = dict[str, Any]


def config_schema(registry: Registry) -> Schema:
    """Describe what a config may hold, given the plugins of this environment.

    Args:
        registry: The names in force.

    Returns:
        A JSON schema; short forms are allowed wherever the reader of configs allows them.
    """
    schema = RunConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "p2pkit run"
    properties = schema["properties"]
    properties["extends"] = {
        "description": "A recipe or file whose keys this config changes.",
        "anyOf": [{"enum": recipe_names()}, {"type": "string"}],
    }
    schema.pop("required", None)  # an extended config may leave the data set to its base
    for kind in ("dataset", "generator", "discriminator"):
        choices = [*_choices(schema, registry, kind, kind), _change(kind)]
        properties[kind] = {**_described(properties[kind]), "anyOf": choices}
    properties["augment"]["items"] = {"anyOf": _choices(schema, registry, "augmentation", "component")}
    metrics = schema["$defs"]["EvaluateConfig"]["properties"]["metrics"]
    metrics["items"] = {"anyOf": _choices(schema, registry, "metric", "component")}
    properties["losses"] = _losses(schema, registry, properties["losses"])
    return schema


_SECTIONS: dict[str, type[Section]] = {"dataset": DatasetConfig, "loss": LossConfig}


def _described(schema: Schema) -> Schema:
    return {"description": schema["description"]} if "description" in schema else {}


def _choices(schema: Schema, registry: Registry, kind: str, section: str) -> list[Schema]:
    """List the ways to write a component: its name alone, or `use` with its own parameters."""
    names = registry.names(kind)
    return [{"enum": names}, *(_long_form(schema, registry, kind, name, section) for name in names)]


def _long_form(schema: Schema, registry: Registry, kind: str, name: str, section: str) -> Schema:
    part = registry.resolve(kind, name)
    component = part.component
    key = f"{kind}.{component.full_name.replace(':', '.')}"
    schema["$defs"].setdefault(key, _parameters(component, key))
    summary = registry.aliases(kind)[name].summary if part.alias else component.summary
    use = {"const": name, "description": summary or component.summary}
    properties = {"use": use, "params": {"$ref": f"#/$defs/{key}"}, **_other_keys(section)}
    return {"type": "object", "properties": properties, "required": ["use"], "additionalProperties": False}


def _change(section: str) -> Schema:
    """Describe a change of the component that the extended config names."""
    properties = {"params": {"type": "object"}, **_other_keys(section)}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _other_keys(section: str) -> Schema:
    keys = _SECTIONS.get(section, ComponentConfig).model_json_schema()["properties"]
    return {key: value for key, value in keys.items() if key not in ("use", "params")}


def _parameters(component: Component, key: str) -> Schema:
    parameters = component.parameters.model_json_schema(ref_template=f"#/$defs/{key}/$defs/{{model}}")
    parameters.pop("required", None)  # an alias or the extended recipe may have filled it in
    return {**parameters, "title": component.name, "description": component.summary}


def _losses(schema: Schema, registry: Registry, written: Schema) -> Schema:
    """Describe the terms: the key is the loss unless `use` says otherwise; a number is the weight, null removes it."""
    short: list[Schema] = [{"type": "number", "minimum": 0}, {"type": "null"}]
    long = [_long_form(schema, registry, "loss", name, "loss") for name in registry.names("loss")]
    named = {form["properties"]["use"]["const"]: {"anyOf": [*short, {**form, "required": []}, *long]} for form in long}
    return {**_described(written), "type": "object", "properties": named, "additionalProperties": {"anyOf": long}}
