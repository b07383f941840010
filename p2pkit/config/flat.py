"""A resolved config as a flat list of keys and values, by which runs are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from p2pkit.untyped import Json, Plain

NOT_COMPARED = ("summary", "origin", "tracking")
"""What a run is called and where it is recorded; not what it does."""


def flat_config(config: Plain) -> dict[str, Json]:
    """Flatten a resolved config to one value for each key.

    A component becomes its name under its own key (`generator` is `unet_256`), and its parameters
    (`generator.params.depth`). A list of components becomes their names (`augment` is `jitter_crop, flip`) and a branch
    for each; in other lists of mappings each has its number (`phases.0.epochs`). A term that is named like its loss has
    no line for the name.

    Args:
        config: The config, or a part of it.

    Returns:
        Values by key, whole numbers as int; what is not set is left out, and so are `summary`, `origin` and `tracking`.
    """
    compared = {key: value for key, value in config.items() if key not in NOT_COMPARED}
    return {key: _plain(value) for key, value in _flatten("", compared)}


def _flatten(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping):
        if path and "use" in value:
            name = component_name(value)
            if name != path.rpartition(".")[2]:
                yield path, name
            value = {key: item for key, item in value.items() if key not in ("use", "alias")}
        for key, item in value.items():
            yield from _flatten(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "use" in item for item in value):
        names = [component_name(item) for item in value]
        yield path, ", ".join(names)
        for index, (called, item) in enumerate(zip(names, value, strict=True)):
            again = names[:index].count(called)
            yield from _flatten(f"{path}.{called}_{again + 1}" if again else f"{path}.{called}", item.get("params", {}))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _flatten(f"{path}.{index}", item)
    elif value not in (None, "", []):
        yield path, value


def common_keys(configs: Sequence[Plain]) -> dict[str, Json]:
    """Return the keys, however deep, that have the same value in all configs."""
    first, *others = configs
    common: dict[str, Json] = {}
    for key, value in first.items():
        values = [value, *(other.get(key) for other in others)]
        mappings = [each for each in values if isinstance(each, Mapping)]
        if len(mappings) == len(values):
            common[key] = common_keys(mappings)
        elif all(each == value for each in values):
            common[key] = value
    return common


def component_name(reference: Plain) -> str:
    """Return what a component was called: its alias, else its name, with the plugin where it is not p2pkit's own."""
    use, alias = str(reference["use"]), str(reference.get("alias") or "")
    return alias if alias and not use.endswith(f":{alias}") else use.removeprefix("p2pkit:")


def _plain(value: Json) -> Json:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
