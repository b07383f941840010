"""What components there are, and all that is known of one, as plain data."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pydantic_core import PydanticUndefined

from p2pkit.components import KIND_NAMES
from p2pkit.config import Part, load_config, recipe_names
from p2pkit.errors import Problem, RegistryError
from p2pkit.registry import Registry, Resolved
from p2pkit.types import ImageSpec, PairSpec, ParameterCount

RECIPE = "recipe"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `p2pkit list`."""

    kind: str
    name: str
    plugin: str
    summary: str
    alias_of: str = ""


def entries(registry: Registry, kind: str | None = None) -> list[Entry]:
    """List everything that has a name: components, aliases, recipes.

    Args:
        registry: The names in force.
        kind: One of the six kinds or `recipe`; None for all.

    Raises:
        RegistryError: There is no such kind.
    """
    kind = _singular(kind) if kind else None
    found = [
        _entry(registry, each, name) for each in KIND_NAMES if kind in (None, each) for name in registry.names(each)
    ]
    if kind in (None, RECIPE):
        found += [Entry(RECIPE, name, "p2pkit", load_config(name).raw.get("summary", "")) for name in recipe_names()]
    return found


def _entry(registry: Registry, kind: str, name: str) -> Entry:
    resolved = registry.resolve(kind, name)
    component = resolved.offer.component
    if resolved.alias is None:
        return Entry(kind, name, resolved.offer.plugin, component.summary)
    filled = ", ".join(f"{key}={value}" for key, value in resolved.params.items())
    summary = registry.aliases(kind)[name].summary or component.summary
    return Entry(kind, name, resolved.offer.plugin, summary, f"{component.name}({filled})")


def plugin_entries(registry: Registry) -> list[dict[str, Any]]:
    """Tell of every plugin that was found what became of it."""
    return [
        {
            "name": plugin.name,
            "state": plugin.state,
            "origin": plugin.origin,
            "version": plugin.version,
            "offers": [f"{offer.component.kind} {offer.full_name}" for offer in plugin.offers],
            "events": list(plugin.events),
            "error": plugin.error,
        }
        for plugin in registry.plugins.found
    ]


def _recipe_text(name: str) -> str:
    return resources.files("p2pkit").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


def kind_of(registry: Registry, name: str, kind: str | None = None) -> str:
    """Return the kind of what a name means: one of the six, or `recipe`.

    Raises:
        RegistryError: Nothing is called so, or several kinds know the name.
    """
    wrong = {each: _problems(registry, each, name) for each in KIND_NAMES}
    wrong[RECIPE] = () if name in recipe_names() else (Problem("", f"there is no recipe {name!r}"),)
    if kind is not None and wrong.get(_singular(kind), ()):
        raise RegistryError(wrong[_singular(kind)])
    kinds = [each for each, problems in wrong.items() if not problems and _singular(kind or each) == each]
    if len(kinds) > 1:
        cause = f"{name!r} is the name of a {' and of a '.join(kinds)}"
        raise RegistryError(Problem("", cause, f"add --kind {kinds[0]} or --kind {kinds[1]}"))
    if not kinds:
        remedies = [problem.remedy for problems in wrong.values() for problem in problems]
        near = "; ".join(remedy for remedy in remedies if "did you mean" in remedy)
        raise RegistryError(Problem("", f"no component is called {name!r}", near or "`p2pkit list` shows all names"))
    return kinds[0]


def _singular(kind: str) -> str:
    """Accept `losses` for `loss`; refuse what is no kind.

    Raises:
        RegistryError: There is no such kind.
    """
    kinds = (*KIND_NAMES, RECIPE)
    found = next((each for each in kinds if kind in (each, f"{each}s", f"{each}es")), None)
    if found is None:
        raise RegistryError(Problem("", f"there is no kind {kind!r}", f"kinds: {', '.join(kinds)}"))
    return found


def _problems(registry: Registry, kind: str, name: str) -> tuple[Problem, ...]:
    try:
        registry.resolve(kind, name)
    except RegistryError as error:
        return error.problems
    return ()


def describe(registry: Registry, name: str, kind: str | None = None) -> dict[str, Any]:
    """Tell all about a component: parameters, docstring, and for networks their size; of a recipe its keys.

    Args:
        registry: The names in force.
        name: The component, alias or recipe.
        kind: Its kind, where several know the name.

    Returns:
        Plain data; of a network `parameter_count`, `trainable_parameter_count` and `size`, which says both in words,
        for 3 -> 3 channels at 256 x 256. The counts are null and the words empty where there is no network.
    """
    kind = kind_of(registry, name, kind)
    if kind == RECIPE:
        return {"name": name, "kind": kind, "text": _recipe_text(name), "keys": load_config(name).raw}
    resolved = registry.resolve(kind, name)
    component = resolved.offer.component
    count = _count(kind, resolved)
    return {
        "name": name,
        "kind": kind,
        "component": resolved.offer.full_name,
        "summary": _entry(registry, kind, name).summary,
        "doc": component.doc,
        "parameters": [_parameter(resolved.params, *item) for item in component.parameters.model_fields.items()],
        "schema": component.parameters.model_json_schema(),
        "parameter_count": count and count.total,
        "trainable_parameter_count": count and count.trainable,
        "size": f"{count} for 3 -> 3 channels at 256 x 256" if count else "",
    }


def _parameter(filled: Mapping[str, Any], name: str, field: Any) -> dict[str, Any]:
    required = field.default is PydanticUndefined and field.default_factory is None and name not in filled
    default = filled.get(name, None if required else field.get_default(call_default_factory=True))
    return {
        "name": name,
        "type": type_name(field.annotation) + _range(field.metadata),
        "default": default if isinstance(default, int | float | str | bool | list | dict | None) else str(default),
        "required": required,
        "filled_by_alias": name in filled,
        "description": field.description or "",
    }


def _range(limits: Iterable[Any]) -> str:
    """Write what a number must keep to: ` 2..10`, ` >= 0 < 1`."""
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    found = {key: value for limit in limits for key, _ in signs if (value := getattr(limit, key, None)) is not None}
    if set(found) == {"ge", "le"}:
        return f" {found['ge']}..{found['le']}"
    return "".join(f" {sign} {found[key]}" for key, sign in signs if key in found)


def type_name(annotation: Any) -> str:
    """Write a type as people read it: `int | null`, `a_to_b | b_to_a`, `[float, float]`."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(type_name, inner)))
    if origin is typing.Literal:
        return " | ".join(map(str, inner))
    if origin is not None:
        names = ", ".join("..." if part is ... else type_name(part) for part in inner)
        return f"[{names}]" if origin is tuple else f"{origin.__name__}[{names}]"
    return "null" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _count(kind: str, resolved: Resolved) -> ParameterCount | None:
    if kind not in ("generator", "discriminator"):
        return None
    from p2pkit.engine.build.parameters import count_parameters_on_meta

    images = PairSpec(ImageSpec(3), ImageSpec(3), 256, 256)
    try:
        return count_parameters_on_meta(Part(kind, resolved.offer, resolved.params), images)
    except Exception:  # what a plugin makes of these images may not even be a network
        return None
