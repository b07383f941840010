"""registry.yaml, and the way from a written name to one component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from p2pkit.components import KIND_NAMES, Component
from p2pkit.errors import Problem, RegistryError
from p2pkit.plugins.loading import OWN, Offer, Plugins
from p2pkit.yaml_files import did_you_mean, read_mapping, structural_problem

FILE = "registry.yaml"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alias(_Closed):
    """A name for a component with some parameters filled in."""

    use: str = Field(description="The component, `name` or `plugin:name`; never another alias.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters that the alias fills in.")
    summary: str = Field("", description="One line for `p2pkit list`.")


class PluginRules(_Closed):
    """Which plugins may take part."""

    enable: Literal["all"] | list[str] = Field("all", description="`all`, or the only plugins that are imported.")
    block: list[str] = Field(default_factory=list, description="Plugins that are never imported.")


class RegistryFile(_Closed):
    """The contents of a registry.yaml."""

    version: Literal[1] = Field(1, description="Version of this file's format.")
    plugins: PluginRules = Field(default_factory=PluginRules, description="Which plugins may take part.")
    prefer: dict[str, str] = Field(
        default_factory=dict, description="`kind/name: plugin`: who gets a bare name that several plugins offer."
    )
    aliases: dict[Literal[KIND_NAMES], dict[str, Alias]] = Field(  # type: ignore[valid-type]  # a literal made of a tuple
        default_factory=dict, description="Names by kind."
    )


@dataclass(frozen=True)
class Resolved:
    """What a written name means.

    Args:
        offer: The component and its plugin.
        params: Parameters that an alias fills in.
        alias: The alias, where the name was one.
    """

    offer: Offer
    params: Mapping[str, Any] = field(default_factory=dict)
    alias: str | None = None


@dataclass(frozen=True)
class Registry:
    """Names, aliases and components of this process.

    Args:
        file: The registry.yaml in force, laid over the packaged one.
        plugins: The loaded plugins.
        origin: Where `file` came from, for messages.
    """

    file: RegistryFile
    plugins: Plugins
    origin: str = FILE

    @cached_property
    def _offers(self) -> dict[tuple[str, str], list[Offer]]:
        table: dict[tuple[str, str], list[Offer]] = {}
        for offer in self.plugins.offers:
            table.setdefault((offer.component.kind, offer.component.name), []).append(offer)
        return table

    def offers(self, kind: str, name: str) -> Sequence[Offer]:
        """Return every plugin's component of that kind and bare name."""
        return self._offers.get((kind, name), [])

    def aliases(self, kind: str) -> Mapping[str, Alias]:
        """Return the aliases of a kind."""
        return self.file.aliases.get(kind, {})

    def names(self, kind: str) -> list[str]:
        """Return every name of a kind that a config can use: aliases, bare names, full names of outside plugins."""
        offers = [offer for offer in self.plugins.offers if offer.component.kind == kind]
        full = {offer.full_name for offer in offers if offer.plugin != OWN}
        bare = {offer.component.name for offer in offers if len(self._candidates(kind, offer.component.name)) == 1}
        aliases = {name for name, alias in self.aliases(kind).items() if len(self._candidates(kind, alias.use)) == 1}
        return sorted({*aliases, *bare, *full})

    def resolve(self, kind: str, name: str) -> Resolved:
        """Find the one component that a name means.

        Args:
            kind: One of the six kinds.
            name: A bare name, `plugin:name`, or an alias.

        Raises:
            RegistryError: Nothing is called so, or several are.
        """
        alias = self.aliases(kind).get(name)
        if alias is not None:
            return Resolved(self._component(kind, alias.use), alias.params, name)
        return Resolved(self._component(kind, name))

    def _candidates(self, kind: str, name: str) -> list[Offer]:
        """List who may be meant: one where `prefer`, our own name or an explicit plugin settles it."""
        plugin, _, bare = name.rpartition(":")
        offers = self.offers(kind, bare)
        owner = (
            plugin or self.file.prefer.get(f"{kind}/{bare}") or (OWN if any(o.plugin == OWN for o in offers) else "")
        )
        return [offer for offer in offers if not owner or offer.plugin == owner]

    def _component(self, kind: str, name: str) -> Offer:
        candidates = self._candidates(kind, name)
        if len(candidates) == 1:
            return candidates[0]
        raise RegistryError(self._ambiguous(kind, name, candidates) if candidates else self._unknown(kind, name))

    def _ambiguous(self, kind: str, name: str, candidates: Sequence[Offer]) -> Problem:
        full = [offer.full_name for offer in candidates]
        line = f"prefer: {{{kind}/{name}: {candidates[0].plugin}}}"
        cause = f"several plugins offer a {kind} {name!r}: {', '.join(full)}"
        return Problem("", cause, f"write one of these full names, or in registry.yaml `{line}`")

    def _unknown(self, kind: str, name: str) -> Problem:
        plugin, _, bare = name.rpartition(":")
        owner = plugin or self.file.prefer.get(f"{kind}/{bare}")
        remedy = f"{did_you_mean(bare, self.names(kind))}`p2pkit list {kind}` shows all of them"
        broken = [f"{plugin.name} ({plugin.error})" for plugin in self.plugins.failed]
        if broken:
            remedy += f"; it may belong to a plugin that failed to load: {', '.join(broken)}"
        barred = next((p.state for p in self.plugins.found if p.name == owner), None)
        if barred in ("blocked", "not enabled"):
            remedy += f"; plugin {owner} is {barred} in {self.origin}"
        return Problem("", f"no {kind} is called {name!r}", remedy)


def load_registry(
    path: Path | None = None, *, plugin_files: Sequence[Path] = (), discover: bool = True, start: Path | None = None
) -> Registry:
    """Read registry.yaml, load the plugins it allows, and check its names.

    Args:
        path: The file to use; by default the nearest registry.yaml from `start` upward, if there is one.
        plugin_files: One-file plugins.
        discover: Whether to look for installed plugins.
        start: Where to begin looking; by default the working directory.

    Returns:
        The names in force.

    Raises:
        RegistryError: The file is malformed, or an alias or preference in it leads nowhere.
        PluginError: A one-file plugin failed.
    """
    packaged = resources.files("p2pkit").joinpath(FILE)
    base = packaged if packaged.is_file() else Path(__file__).parent.parent / FILE  # the latter in an editable install
    own = path or _nearest(start or Path.cwd())
    data = read_mapping(base, FILE, RegistryError)
    origin = FILE
    if own is not None:
        origin = str(own)
        if not own.is_file():
            raise RegistryError(Problem(origin, "there is no such file", "give --registry a file that exists"))
        data = _overlay(data, read_mapping(own, origin, RegistryError))
    file = _validate(data, origin)
    enable = None if file.plugins.enable == "all" else file.plugins.enable
    plugins = Plugins(enable=enable, block=file.plugins.block, files=plugin_files, discover=discover)
    registry = Registry(file, plugins, origin)
    problems = list(_wrong_names(registry))
    if problems:
        raise RegistryError(problems)
    return registry


def _nearest(start: Path) -> Path | None:
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Lay one file over another, key by key; an alias is replaced whole."""
    merged = {**base, **top}
    for key in ("plugins", "prefer"):
        if isinstance(top.get(key), dict):
            merged[key] = {**base.get(key, {}), **top[key]}
    if isinstance(top.get("aliases"), dict):
        merged["aliases"] = dict(base.get("aliases", {}))
        for kind, names in top["aliases"].items():
            merged["aliases"][kind] = {**base["aliases"].get(kind, {}), **names} if isinstance(names, dict) else names
    return merged


def _validate(data: dict[str, Any], origin: str) -> RegistryFile:
    try:
        return RegistryFile.model_validate(data)
    except ValidationError as error:
        found = [structural_problem(each, RegistryFile, f"{origin}: ") for each in error.errors()]
        raise RegistryError(found) from None


def _wrong_names(registry: Registry) -> list[Problem]:
    """Check every alias and preference, except those that lead to a plugin which is not loaded."""
    absent = {plugin.name for plugin in registry.plugins.found if plugin.state != "loaded"}
    problems = []
    for kind, aliases in registry.file.aliases.items():
        for name, alias in aliases.items():
            if alias.use.rpartition(":")[0] not in absent:
                problems += _alias_problems(registry, kind, name, alias)
    for key, plugin in registry.file.prefer.items():
        if plugin not in absent:
            problems += _preference_problems(registry, key, plugin)
    return problems


def _alias_problems(registry: Registry, kind: str, name: str, alias: Alias) -> list[Problem]:
    path = f"{registry.origin}: aliases.{kind}.{name}"
    if ":" in name:
        return [Problem(path, "an alias has no colon in its name", "names with a colon are plugin:name")]
    if alias.use in registry.aliases(kind):
        return [Problem(f"{path}.use", f"{alias.use!r} is itself an alias", "name a component")]
    try:
        component = registry.resolve(kind, alias.use).offer.component
    except RegistryError as error:
        return [Problem(f"{path}.use", found.cause, found.remedy) for found in error.problems]
    return parameter_problems(component, alias.params, f"{path}.params", partial=True)


def _preference_problems(registry: Registry, key: str, plugin: str) -> list[Problem]:
    path = f"{registry.origin}: prefer.{key}"
    kind, slash, name = key.partition("/")
    if kind not in KIND_NAMES or not slash:
        return [Problem(path, "not of the form kind/name", f"e.g. generator/swin_unet; kinds: {', '.join(KIND_NAMES)}")]
    offering = [offer.plugin for offer in registry.offers(kind, name)]
    if plugin in offering:
        return []
    remedy = f"plugins that do: {', '.join(offering) or 'none'}"
    return [Problem(path, f"no plugin {plugin!r} offers a {kind} {name!r}", remedy)]


def parameter_problems(
    component: Component, params: Mapping[str, Any], path: str, *, partial: bool = False
) -> list[Problem]:
    """List what is wrong with parameters, each with its path.

    Args:
        component: The component they are for.
        params: The parameters as written.
        path: Where they are written.
        partial: Whether required parameters may still be missing, as in an alias.
    """
    try:
        component.parameters.model_validate(dict(params))
    except ValidationError as error:
        return [
            _parameter_problem(component, path, found)
            for found in error.errors()
            if not (partial and found["type"] == "missing")
        ]
    return []


def _parameter_problem(component: Component, path: str, found: Any) -> Problem:
    where = ".".join([path, *map(str, found["loc"])])
    known = list(component.parameters.model_fields)
    if found["type"] == "extra_forbidden":
        hint = did_you_mean(str(found["loc"][-1]), known, n=2)
        cause = f"{component.name} has no parameter {found['loc'][-1]!r}"
        return Problem(where, cause, f"{hint}its parameters: {', '.join(known) or 'none'}")
    if found["type"] == "missing":
        return Problem(where, f"{component.name} needs this parameter", _describe(component, str(found["loc"][0])))
    cause = f"{found['msg'][0].lower()}{found['msg'][1:]}, got {found['input']!r}"
    return Problem(where, cause, _describe(component, str(found["loc"][0])))


def _describe(component: Component, name: str) -> str:
    info = component.parameters.model_fields.get(name)
    return info.description or "" if info else ""
