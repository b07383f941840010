"""The config's JSON schema, with every component's parameters, for editors."""

from __future__ import annotations

from collections.abc import Mapping

from p2pkit.components import KIND_NAMES, Component, Reader
from p2pkit.config.executor import ExecutorConfig
from p2pkit.config.model import DatasetConfig, LossConfig, OptimizerConfig, RunConfig
from p2pkit.config.sections import ComponentConfig, Section
from p2pkit.config.sources import recipe_names
from p2pkit.config.tracking import TrackerConfig
from p2pkit.parts import Part
from p2pkit.registry import Registry
from p2pkit.untyped import Json

Schema = dict[str, Json]


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
    for kind in (each for each in KIND_NAMES if each != Reader.kind):  # which data sets name
        schema["$defs"][kind] = _reference(schema["$defs"], registry, kind)
    for kind in ("dataset", "generator", "discriminator"):  # one without `use` changes what the extended config names
        properties[kind] = {**_described(properties[kind]), **_named_or(kind, registry, {"$ref": f"#/$defs/{kind}"})}
    executor = _or_null(_named_or("executor", registry, {"$ref": "#/$defs/executor"}))
    properties["executor"] = {**_described(properties["executor"]), **executor}
    properties["augment"]["items"] = _item("augmentation", registry)
    schema["$defs"]["EvaluateConfig"]["properties"]["metrics"]["items"] = _item("metric", registry)
    properties["losses"] = _terms("loss", registry, properties["losses"], _WEIGHT)
    phased = schema["$defs"]["PhaseConfig"]["properties"]
    changed = {**_WEIGHT, "if": {"type": "object"}, "then": {"$ref": "#/$defs/PhaseTermConfig"}}
    phased["losses"] = {**_described(phased["losses"]), "type": "object", "additionalProperties": changed}
    optimizers = schema["$defs"]["OptimizersConfig"]["properties"]
    for name, written in optimizers.items():
        optimizers[name] = {**_described(written), **_named_or("optimizer", registry, {"$ref": "#/$defs/optimizer"})}
    optimizers["losses"] = _or_null(optimizers["losses"])
    tracking = schema["$defs"]["TrackingConfig"]["properties"]
    tracking["trackers"] = _terms("tracker", registry, tracking["trackers"], {"type": ["boolean", "null", "object"]})
    schema["$defs"]["ScheduleConfig"] |= _shapes(schema, registry)
    return schema


_SECTIONS: Mapping[str, type[Section]] = {
    "dataset": DatasetConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "tracker": TrackerConfig,
    "executor": ExecutorConfig,
}
_WEIGHT: Schema = {"type": ["number", "null", "object"], "minimum": 0}


def _described(schema: Schema) -> Schema:
    return {"description": schema["description"]} if "description" in schema else {}


def _names(registry: Registry, kind: str) -> dict[str, Part]:
    """Return what every name of a kind means, also the full names of p2pkit's own, which resolved configs have."""
    own = [component.full_name for component in registry.plugins.components if component.kind == kind]
    return {name: registry.resolve(kind, name) for name in sorted({*registry.names(kind), *own})}


def _named_or(kind: str, registry: Registry, long: Schema) -> Schema:
    """Describe the two ways to write a component: its name alone, or its keys; only one is held against a value."""
    short = {"enum": list(_names(registry, kind))}
    return {"type": ["string", "object"], "if": {"type": "string"}, "then": short, "else": long}


def _or_null(schema: Schema) -> Schema:
    long = {"if": {"type": "object"}, "then": schema["else"]}
    return {**schema, "type": ["string", "object", "null"], "else": long}


def _item(kind: str, registry: Registry) -> Schema:
    return _named_or(kind, registry, {"$ref": f"#/$defs/{kind}", "required": ["use"]})


def _reference(definitions: Schema, registry: Registry, kind: str) -> Schema:
    """Describe the long form of a kind: `use` says which parameters there are."""
    names = _names(registry, kind)
    by_component: dict[str, list[str]] = {}
    for name, part in names.items():
        key = f"{kind}.{part.component.full_name.replace(':', '.')}"
        definitions.setdefault(key, _parameters(part.component, key))
        by_component.setdefault(key, []).append(name)
    summaries = [
        registry.aliases(kind)[name].summary or part.component.summary if part.alias else part.component.summary
        for name, part in names.items()
    ]
    use = {"enum": list(names), "markdownEnumDescriptions": summaries}
    keys = _SECTIONS.get(kind, ComponentConfig).model_json_schema()["properties"]
    return {
        "type": "object",
        "properties": {**keys, "use": use, "params": {"type": "object"}},
        "additionalProperties": False,
        "allOf": [
            {"if": {"properties": {"use": {"enum": written}}, "required": ["use"]}, "then": _with_parameters(key)}
            for key, written in by_component.items()
        ],
    }


def _with_parameters(key: str) -> Schema:
    return {"properties": {"params": {"$ref": f"#/$defs/{key}"}}}


def _parameters(component: Component, key: str) -> Schema:
    parameters = component.parameters.model_json_schema(ref_template=f"#/$defs/{key}/$defs/{{model}}")
    parameters.pop("required", None)  # an alias or the extended recipe may have filled it in
    return {**parameters, "title": component.name, "description": component.summary}


def _shapes(schema: Schema, registry: Registry) -> Schema:
    """Describe the schedule: `shape` says which parameters there are."""
    reference = schema["$defs"].pop("schedule")
    section = schema["$defs"]["ScheduleConfig"]["properties"]
    section["shape"] = {**reference["properties"]["use"], **section["shape"]}
    chosen = [{**each, "if": _of_shape(each["if"]["properties"]["use"])} for each in reference["allOf"]]
    return {"properties": section, "allOf": chosen}


def _of_shape(names: Schema) -> Schema:
    return {"properties": {"shape": names}, "required": ["shape"]}


def _terms(kind: str, registry: Registry, written: Schema, short: Schema) -> Schema:
    """Describe terms or trackers: the key is the component unless `use` says otherwise; null removes it.

    Args:
        kind: The kind.
        registry: The names in force.
        written: The section, as its model describes it.
        short: The short forms, such as a number for a weight.
    """
    long: Schema = {"if": {"type": "object"}, "then": {"$ref": f"#/$defs/{kind}"}}
    named = {}
    for name, part in _names(registry, kind).items():
        key = f"{kind}.{part.component.full_name.replace(':', '.')}"
        own = {"if": {"type": "object", "not": {"required": ["use"]}}, "then": _with_parameters(key)}
        named[name] = {**short, "allOf": [long, own]}
    others = {"type": "object", "required": ["use"], "$ref": f"#/$defs/{kind}"}
    return {**_described(written), "type": "object", "properties": named, "additionalProperties": others}
