"""What components there are, and all that is known of one, as plain data."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from p2pkit.components import KIND_NAMES, Component, Reader
from p2pkit.config import Part, load_config, recipe_names
from p2pkit.errors import Problem, RegistryError
from p2pkit.images.listing import IMAGE_SUFFIXES
from p2pkit.plugins.finding import OWN
from p2pkit.registry import Registry
from p2pkit.types import ImageSpec, PairSpec, ParameterCount
from p2pkit.untyped import Json, Plain

RECIPE = "recipe"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `p2pkit list`."""

    kind: str
    name: str
    plugin: str
    summary: str
    alias_of: str = ""


def entries(registry: Registry | None, kind: str | None = None) -> list[Entry]:
    """List everything that has a name: components, aliases, recipes.

    Args:
        registry: The names in force; None for recipes alone, which no plugin has a part in.
        kind: A kind or `recipe`; None for all.

    Raises:
        RegistryError: There is no such kind.
    """
    kind = singular(kind) if kind else None
    kinds = [each for each in KIND_NAMES if kind in (None, each)] if registry else []
    found = [_entry(registry, each, name) for each in kinds for name in registry.names(each)] if registry else []
    if kind in (None, RECIPE):
        found += [Entry(RECIPE, name, "p2pkit", load_config(name).raw.get("summary", "")) for name in recipe_names()]
    return found


def _entry(registry: Registry, kind: str, name: str) -> Entry:
    offer = registry.offer(kind, name)
    assert offer is not None, "it is one of the names"
    alias = registry.aliases(kind).get(name)
    if alias is None:
        return Entry(kind, name, offer.plugin, offer.summary)
    filled = ", ".join(f"{key}={value}" for key, value in alias.params.items())
    return Entry(kind, name, offer.plugin, alias.summary or offer.summary, f"{offer.name}({filled})")


def plugin_entries(registry: Registry) -> list[dict[str, Json]]:
    """Tell of every plugin that was found what became of it, once it is imported."""
    registry.plugins.import_all()
    return [
        {
            "name": plugin.name,
            "state": plugin.state,
            "origin": plugin.origin,
            "version": plugin.version,
            "offers": [f"{offer.kind} {offer.full_name}" for offer in plugin.offers],
            "events": list(plugin.events),
            "error": plugin.error,
            "left_out": list(plugin.left_out),
        }
        for plugin in registry.plugins.found
    ]


def _recipe_text(name: str) -> str:
    return resources.files("p2pkit").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


def kind_of(registry: Registry, name: str, kind: str | None = None) -> str:
    """Return the kind of what a name means: of a component, or `recipe`.

    Raises:
        RegistryError: Nothing is called so, or several kinds know the name.
    """
    wanted = singular(kind) if kind else None
    kinds = [each for each in KIND_NAMES if registry.offer(each, name) is not None]
    kinds += [RECIPE] if name in recipe_names() else []
    kinds = [each for each in kinds if wanted in (None, each)]
    if len(kinds) > 1:
        cause = f"{name!r} is the name of a {' and of a '.join(kinds)}"
        raise RegistryError(Problem("", cause, f"add --kind {kinds[0]} or --kind {kinds[1]}"))
    if not kinds and registry.plugins.import_all():
        return kind_of(registry, name, kind)
    if not kinds:
        raise RegistryError(_nothing_called(registry, name, wanted))
    return kinds[0]


def _nothing_called(registry: Registry, name: str, kind: str | None) -> Sequence[Problem]:
    """Say why a name means nothing, or nothing of a kind."""
    if kind == RECIPE:
        return [Problem("", f"there is no recipe {name!r}")]
    if kind is not None:
        return _problems(registry, kind, name)
    contested = [problem for (_, known), problem in registry.contested().items() if known == name]
    remedies = [problem.remedy for each in KIND_NAMES for problem in _problems(registry, each, name)]
    near = "; ".join(remedy for remedy in remedies if "did you mean" in remedy)
    return contested or [Problem("", f"no component is called {name!r}", near or "`p2pkit list` shows all names")]


def singular(kind: str) -> str:
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


def describe(registry: Registry, name: str, kind: str | None = None) -> dict[str, Json]:
    """Tell all about a component: parameters, docstring, and for networks their size; of a recipe its keys.

    Args:
        registry: The names in force.
        name: The component, alias or recipe.
        kind: Its kind, where several know the name.

    Returns:
        Plain data; of a network `parameter_count`, `trainable_parameter_count` and `size`, which says both in words,
        for 3 -> 3 channels at 256 x 256. The counts are null and the words empty where there is no network. `takes`
        says by name what a network takes beside its images, and what that is where its plugin says so; `reads` which
        files a reader reads.
    """
    kind = kind_of(registry, name, kind)
    if kind == RECIPE:
        return {"name": name, "kind": kind, "text": _recipe_text(name), "keys": load_config(name).raw}
    part = registry.resolve(kind, name)
    component, count = part.component, _count(part)
    return {
        "name": name,
        "kind": kind,
        "component": component.full_name,
        "summary": _entry(registry, kind, name).summary,
        "doc": component.doc,
        "parameters": [_parameter(part.params, *item) for item in component.parameters.model_fields.items()],
        "schema": component.parameters.model_json_schema(),
        "parameter_count": count and count.total,
        "trainable_parameter_count": count and count.trainable,
        "takes": _takes(component),
        "reads": _reads(component),
        "size": f"{count} for 3 -> 3 channels at 256 x 256" if count else "",
    }


def _reads(component: Component) -> str:
    """Say of a reader which files it reads unasked, and which where a data set names it."""
    if not isinstance(component, Reader):
        return ""
    asked = [suffix for suffix in component.suffixes if suffix in IMAGE_SUFFIXES and component.plugin != OWN]
    unasked = [suffix for suffix in component.suffixes if suffix not in asked]
    told = [f"{', '.join(unasked)} files"] if unasked else []
    told += [f"{', '.join(asked)} files where a data set names it"] if asked else []
    return f"reads {'; '.join(told)}"


def _takes(component: Component) -> dict[str, str]:
    """Return by name what a network takes beside images, as far as its class says so without being built."""
    from p2pkit.extras.calling import SEEN, taken
    from p2pkit.extras.reading import described

    count = SEEN.get(component.kind)
    if count is None or not (inspect.isclass(component.factory) and hasattr(component.factory, "forward")):
        return {}
    known = component.extras
    names = taken(component.factory, count + 1)  # a class's forward has `self` first
    return {name: described(known[name]) if name in known else "" for name in names}


def _parameter(filled: Plain, name: str, field: FieldInfo) -> dict[str, Json]:
    required = field.default is PydanticUndefined and field.default_factory is None and name not in filled
    default = filled.get(name, None if required else field.get_default(call_default_factory=True))
    return {
        "name": name,
        "type": type_name(field.annotation),
        "bounds": bounds(field.metadata),
        "default": default if isinstance(default, int | float | str | bool | list | dict | None) else str(default),
        "required": required,
        "filled_by_alias": name in filled,
        "description": field.description or "",
    }


def allowed(parameter: Plain) -> str:
    """Write what a parameter may be: its type, and the range that its numbers lie in."""
    first, bar, others = str(parameter["type"]).partition(" | ")
    within = f" {parameter['bounds']}" if parameter["bounds"] else ""
    return f"{first}{within}{bar}{others}"


def written(parameter: Plain) -> str:
    """Write a parameter's default as a config has it."""
    default = parameter["default"]
    if parameter["required"]:
        return "required"
    return default if isinstance(default, str) and default else json.dumps(default, default=str)


def bounds(metadata: Sequence[object]) -> str:
    """Write a field's bounds as people read them: `>= 2, <= 10`; empty where it has none."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}
    found = [(sign, getattr(each, name, None)) for each in metadata for name, sign in signs.items()]
    return ", ".join(f"{sign} {limit}" for sign, limit in found if limit is not None)


def type_name(annotation: object) -> str:
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


def _count(part: Part) -> ParameterCount | None:
    if part.component.kind not in ("generator", "discriminator"):
        return None
    from p2pkit.engine.build.parameters import count_parameters_on_meta

    try:
        return count_parameters_on_meta(
            part, PairSpec(ImageSpec(3), ImageSpec(3), 256, 256, extras=part.component.extras)
        )
    except Exception:  # what a plugin makes of these images may not even be a network
        return None
