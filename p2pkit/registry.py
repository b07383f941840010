"""registry.yaml, and the way from a written name to one component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from p2pkit.components import KIND_NAMES, Component
from p2pkit.errors import Problem, RegistryError
from p2pkit.parts import Part
from p2pkit.plugins.finding import OWN
from p2pkit.plugins.loading import Plugins
from p2pkit.plugins.offers import Offer
from p2pkit.plugins.one_file import OneFile, brought_along, is_known, untrusted
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import did_you_mean, first_problems, read_mapping, shortened, structural_problem

FILE = "registry.yaml"
_ANY_BYTES = "surrogateescape"


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alias(_Closed):
    """A name for a component with some parameters filled in."""

    use: str = Field(description="The component, `name` or `plugin:name`; never another alias.")
    params: dict[str, Json] = Field(default_factory=dict, description="Parameters that the alias fills in.")
    summary: str = Field("", description="One line for `p2pkit list`.")


class PluginRules(_Closed):
    """Which plugins may take part."""

    enable: Literal["all"] | list[str] = Field(
        "all", description="`all`, or the only plugins that are imported: `plugin`, or `plugin@distribution`."
    )
    block: list[str] = Field(
        default_factory=list, description="Plugins that are never imported, named in the same way."
    )
    trust: list[Sha256] = Field(
        default_factory=list,
        description="SHA-256 of one-file plugins that models may bring along and have run. It counts where "
        "`--registry` names the file: one that lies in a folder may have come with it.",
    )


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
class Registry:
    """Names, aliases and components of this process.

    Args:
        file: The registry.yaml in force, laid over the packaged one.
        plugins: The loaded plugins.
        origin: Where `file` came from, for messages.
        trust: Whether one-file plugins that models bring along are run without having been asked about.
        trusted: SHA-256 of those that are run in any case.
    """

    file: RegistryFile
    plugins: Plugins
    origin: str = FILE
    trust: bool = False
    trusted: tuple[str, ...] = ()

    def aliases(self, kind: str) -> Mapping[str, Alias]:
        """Return the aliases of a kind."""
        return self.file.aliases.get(kind, {})

    def names(self, kind: str) -> list[str]:
        """Return every name of a kind that a config can use: aliases, bare names, full names of outside plugins."""
        offers = [offer for offer in self.plugins.offers if offer.kind == kind]
        full = {offer.full_name for offer in offers if offer.plugin != OWN}
        bare = {offer.name for offer in offers if len(self._candidates(kind, offer.name)) == 1}
        aliases = {name for name, alias in self.aliases(kind).items() if len(self._candidates(kind, alias.use)) == 1}
        return sorted({*aliases, *bare, *full})

    def resolve(self, kind: str, name: str, params: Plain | None = None, path: str | None = None) -> Part:
        """Find the one component that a name means.

        Args:
            kind: The kind.
            name: A bare name, `plugin:name`, or an alias.
            params: Parameters, over those that an alias fills in; `Part.problems` says what is wrong with them.
            path: Where the name is written, for messages; by default the name itself.

        Raises:
            RegistryError: Nothing is called so, or several are.
        """
        alias = self.aliases(kind).get(name)
        component = self._component(kind, alias.use if alias else name)
        filled = alias.params if alias else {}
        return Part(name if path is None else path, component, {**filled, **(params or {})}, name if alias else None)

    def with_brought(self, names: Iterable[str], *folders: Path) -> Registry:
        """Return these names with those of the one-file plugins that a model or a sweep brings along.

        A plugin that is here already, by whatever way, is the one that is used.

        Args:
            names: The plugins that are needed.
            *folders: Where they may lie: the checkpoint's folder and its run's, or the sweep's.

        Raises:
            PluginError: There is one that is not trusted; nothing of it was run.
        """
        here = {plugin.name for plugin in self.plugins.found if plugin.state == "loaded"}
        files = [file for file in brought_along(names, *folders) if file.name not in here]
        for file in files:
            asked = self.plugins.allowed(file) == "loaded"
            if asked and not (self.trust or file.sha256 in self.trusted or is_known(file)):
                raise untrusted(file)
        return replace(self, plugins=self.plugins.with_brought(files)) if files else self

    def plain(self) -> dict[str, Json]:
        """Return as plain data what makes these names anew where the same plugins are installed; see `from_plain`."""
        files = {name: (file.source or b"").decode(errors=_ANY_BYTES) for name, file in self.plugins.files.items()}
        installed = self.plugins.discover
        return {"file": self.file.model_dump(), "origin": self.origin, "files": files, "installed": installed}

    @classmethod
    def from_plain(cls, plain: Plain) -> Registry:
        """Return the names of another process, with its one-file plugins, which are its user's own.

        Raises:
            PluginError: One of these can't be loaded here.
        """
        file = RegistryFile.model_validate(plain["file"])
        sources = {name: source.encode(errors=_ANY_BYTES) for name, source in plain["files"].items()}
        files = [OneFile(Path(f"{name}.py"), source) for name, source in sources.items()]
        return cls(file, _allowed_plugins(file, files, discover=plain["installed"]), plain["origin"])

    def contested(self) -> dict[tuple[str, str], Problem]:
        """Return, by kind and name, each bare name that several plugins offer and nothing settles."""
        names = dict.fromkeys((offer.kind, offer.name) for offer in self.plugins.offers)
        several = {key: self._candidates(*key) for key in names}
        return {key: self._ambiguous(*key, found) for key, found in several.items() if len(found) > 1}

    def offer(self, kind: str, name: str) -> Offer | None:
        """Return the one offer that a name or an alias means; None where there is none or several. Imports nothing."""
        alias = self.aliases(kind).get(name)
        found = self._candidates(kind, alias.use if alias else name)
        return found[0] if len(found) == 1 else None

    def _candidates(self, kind: str, name: str) -> list[Offer]:
        """List who may be meant: one where `prefer`, our own name or an explicit plugin settles it."""
        plugin, _, bare = name.rpartition(":")
        found = self.plugins.offering(kind, bare)
        owner = plugin or self.file.prefer.get(f"{kind}/{bare}") or (OWN if any(o.plugin == OWN for o in found) else "")
        return [offer for offer in found if not owner or offer.plugin == owner]

    def _component(self, kind: str, name: str) -> Component:
        """Import whose component a name means; where what is remembered has no answer, import all."""
        candidates = self._candidates(kind, name)
        found = self.plugins.component(candidates[0]) if len(candidates) == 1 else None
        if found is not None:
            return found
        if self.plugins.import_all() or candidates != self._candidates(kind, name):
            return self._component(kind, name)
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
        broken += [f"{plugin.name} ({reason})" for plugin in self.plugins.found for reason in plugin.left_out]
        if broken:
            remedy += f"; it may belong to a plugin that failed to load: {', '.join(broken)}"
        barred = next((p.state for p in self.plugins.found if p.name == owner), None)
        if barred in ("blocked", "not enabled"):
            remedy += f"; plugin {owner} is {barred} in {self.origin}"
        return Problem("", f"no {kind} is called {shortened(name)}", remedy)


def load_registry(
    path: str | Path | None = None,
    *,
    plugin_files: Sequence[str | Path] = (),
    discover: bool = True,
    start: Path | None = None,
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
    own = Path(path) if path is not None else _nearest(start or Path.cwd())
    data = shipped = read_mapping(base, FILE, RegistryError)
    origin = FILE
    if own is not None:
        origin = str(own)
        if not own.is_file():
            raise RegistryError(Problem(origin, "there is no such file", "give --registry a file that exists"))
        data = _overlay(data, read_mapping(own, origin, RegistryError))
    file = _validate(data, origin)
    plugins = _allowed_plugins(file, tuple(map(Path, plugin_files)), discover=discover)
    # Whoever was given a folder with a model in it has not read what a file in it trusts.
    registry = Registry(file, plugins, origin, trusted=() if path is None else tuple(file.plugins.trust))
    problems = list(_wrong_names(registry, _validate(shipped, FILE)))
    if problems:
        raise RegistryError(problems)
    return registry


def _allowed_plugins(file: RegistryFile, files: Sequence[Path | OneFile], *, discover: bool) -> Plugins:
    enable = None if file.plugins.enable == "all" else file.plugins.enable
    return Plugins(enable=enable, block=file.plugins.block, files=files, discover=discover, remember=True)


def names_in_force(registry: Registry | None, plugins: Sequence[str | Path] = (), *, trust: bool = False) -> Registry:
    """Return the names of a call: its registry, or those of this environment with the one-file plugins it names.

    Args:
        registry: The registry, if there is one.
        plugins: One-file plugins.
        trust: Whether those may be run, too, that a model brings along.

    Raises:
        RegistryError: It has both, and a registry has its plugins already.
        PluginError: One of the files can't be loaded.
    """
    if registry is not None and plugins:
        cause = "give either a registry or plugins"
        raise RegistryError(Problem("plugins", cause, "load_registry(plugin_files=...) makes a registry with them"))
    names = registry or load_registry(plugin_files=plugins)
    return replace(names, trust=trust or names.trust)


def _nearest(start: Path) -> Path | None:
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def _overlay(base: dict[str, Json], top: dict[str, Json]) -> dict[str, Json]:
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


def _validate(data: dict[str, Json], origin: str) -> RegistryFile:
    try:
        return RegistryFile.model_validate(data)
    except ValidationError as error:
        tell = partial(structural_problem, model=RegistryFile, data=data, prefix=f"{origin}: ")
        raise RegistryError(first_problems(error.errors(), tell)) from None


def _wrong_names(registry: Registry, shipped: RegistryFile) -> list[Problem]:
    """Check every alias and preference that is not p2pkit's own, except those of a plugin which is not loaded."""
    absent = {plugin.name for plugin in registry.plugins.found if plugin.state != "loaded"}
    problems = []
    for kind, aliases in registry.file.aliases.items():
        for name, alias in aliases.items():
            if alias != shipped.aliases.get(kind, {}).get(name) and alias.use.rpartition(":")[0] not in absent:
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
        part = registry.resolve(kind, alias.use, alias.params, path)
    except RegistryError as error:
        return [Problem(f"{path}.use", found.cause, found.remedy) for found in error.problems]
    return part.problems(partial=True)


def _preference_problems(registry: Registry, key: str, plugin: str) -> list[Problem]:
    path = f"{registry.origin}: prefer.{key}"
    kind, slash, name = key.partition("/")
    if kind not in KIND_NAMES or not slash:
        return [Problem(path, "not of the form kind/name", f"e.g. generator/swin_unet; kinds: {', '.join(KIND_NAMES)}")]
    offering = [offer.plugin for offer in registry.plugins.offering(kind, name)]
    if plugin in offering:
        return []
    remedy = f"plugins that do: {', '.join(offering) or 'none'}"
    return [Problem(path, f"no plugin {plugin!r} offers a {kind} {name!r}", remedy)]
