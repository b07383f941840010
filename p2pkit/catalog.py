"""What components there are, and all that is known of one, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pydantic_core import PydanticUndefined

from p2pkit.components import KIND_NAMES
from p2pkit.config import Part, load_config, recipe_names
from p2pkit.errors import P2pkitError, Problem, RegistryError
from p2pkit.registry import Registry, Resolved
from p2pkit.types import ImageSpec, PairSpec

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
    kinds = (*KIND_NAMES, RECIPE)
    if kind is not None and kind not in kinds:
        kind = kind.rstrip("s") if kind.rstrip("s") in kinds else {"losses": "loss"}.get(kind, kind)
    if kind is not None and kind not in kinds:
        raise RegistryError(Problem("", f"there is no kind {kind!r}", f"kinds: {', '.join(kinds)}"))
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


def recipe_text(name: str) -> str | None:
    """Return a recipe as it is written, comments included; None where there is no such recipe."""
    file = resources.files("p2pkit").joinpath("recipes", f"{name}.yaml")
    return file.read_text(encoding="utf-8") if file.is_file() else None


def find(registry: Registry, name: str, kind: str | None = None) -> tuple[str, Resolved]:
    """Find a name in one kind or in all of them.

    Raises:
        RegistryError: Nothing is called so, or several kinds know the name.
    """
    kinds = [kind] if kind else [each for each in KIND_NAMES if _known(registry, each, name)]
    if len(kinds) > 1:
        cause = f"{name!r} is the name of a {' and of a '.join(kinds)}"
        raise RegistryError(Problem("", cause, f"add --kind {kinds[0]} or --kind {kinds[1]}"))
    if not kinds:
        problems = [problem for each in KIND_NAMES for problem in _problems(registry, each, name)]
        near = [problem for problem in problems if "did you mean" in problem.remedy]
        remedy = "; ".join(problem.remedy for problem in near) or "`p2pkit list` shows all names"
        raise RegistryError(Problem("", f"no component is called {name!r}", remedy))
    return kinds[0], registry.resolve(kinds[0], name)


def _known(registry: Registry, kind: str, name: str) -> bool:
    return not _problems(registry, kind, name)


def _problems(registry: Registry, kind: str, name: str) -> tuple[Problem, ...]:
    try:
        registry.resolve(kind, name)
    except RegistryError as error:
        return error.problems
    return ()


def describe(registry: Registry, name: str, kind: str | None = None) -> dict[str, Any]:
    """Tell all about a component: parameters, docstring, and for networks their size.

    Args:
        registry: The names in force.
        name: The component or alias.
        kind: Its kind, where several know the name.

    Returns:
        Plain data; `parameter_count` is that for 3 -> 3 channels at 256 x 256, null where there is no network.
    """
    kind, resolved = find(registry, name, kind)
    component = resolved.offer.component
    return {
        "name": name,
        "kind": kind,
        "component": resolved.offer.full_name,
        "summary": _entry(registry, kind, name).summary,
        "doc": component.doc,
        "parameters": [_parameter(resolved.params, *item) for item in component.parameters.model_fields.items()],
        "schema": component.parameters.model_json_schema(),
        "parameter_count": _size(kind, resolved),
    }


def _parameter(filled: Mapping[str, Any], name: str, field: Any) -> dict[str, Any]:
    required = field.default is PydanticUndefined and field.default_factory is None and name not in filled
    default = filled.get(name, None if required else field.get_default(call_default_factory=True))
    return {
        "name": name,
        "type": _type_name(field.annotation),
        "default": default if isinstance(default, int | float | str | bool | list | dict | None) else str(default),
        "required": required,
        "filled_by_alias": name in filled,
        "description": field.description or "",
    }


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _size(kind: str, resolved: Resolved) -> int | None:
    if kind not in ("generator", "discriminator"):
        return None
    from p2pkit.engine.assemble import parameter_count

    images = PairSpec(ImageSpec(3), ImageSpec(3), 256, 256)
    try:
        return parameter_count(Part(kind, resolved.offer, resolved.params), images)
    except P2pkitError:
        return None
