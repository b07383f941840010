"""Find plugins, load each on its own, and know who offered what and why another failed."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Literal

import pluggy

from p2pkit import hookspecs
from p2pkit.components import KINDS, OFFERS, Component, Reader
from p2pkit.errors import PluginError, Problem
from p2pkit.hookspecs import PLUGIN_API
from p2pkit.plugins.finding import OWN, Candidate, builtin, in_file, installed
from p2pkit.plugins.offers import Known, Offer, Remembered
from p2pkit.plugins.one_file import OneFile
from p2pkit.types import FileReader
from p2pkit.untyped import Plain, Untyped

State = Literal["loaded", "blocked", "not enabled", "failed"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found, whether or not it could be loaded.

    Args:
        name: Entry point's name, file's stem, or the built-in module's name.
        origin: Distribution, file or `p2pkit` itself.
        version: The distribution's version, empty for a file.
        state: What became of it.
        offers: What it offers, by name; known of one that has not been imported yet, too.
        components: What it offers.
        events: The run-event hooks it implements.
        error: Why it failed, empty otherwise.
        left_out: Why some of its components can't be used, while the others can.
    """

    name: str
    origin: str
    version: str
    state: State
    offers: tuple[Offer, ...] = ()
    components: tuple[Component, ...] = ()
    events: tuple[str, ...] = ()
    error: str = ""
    left_out: tuple[str, ...] = ()


class Plugins:
    """The plugins of this process.

    Args:
        enable: Plugins that may be loaded besides the built-ins, `plugin` or `plugin@distribution`; None for all.
        block: Plugins that are never imported, named in the same way.
        files: One-file plugins; unlike the others, one that fails is an error at once.
        brought: One-file plugins that a model brings along: as `files`, but `enable` and `block` hold for them.
        discover: Whether to look for installed plugins.
        remember: Whether a plugin of which all offers are remembered is imported only when one of them is asked for.
    """

    def __init__(
        self,
        *,
        enable: Collection[str] | None = None,
        block: Collection[str] = (),
        files: Sequence[Path | OneFile] = (),
        brought: Sequence[OneFile] = (),
        discover: bool = True,
        remember: bool = False,
    ) -> None:
        self._rules: dict[str, Untyped] = {"enable": enable, "block": block, "discover": discover, "remember": remember}
        self._remembered = Remembered() if remember else None
        self._waiting: dict[str, Candidate] = {}
        self._importing = RLock()  # files are read in several threads, by readers that are imported for the first one
        self._by_name: dict[tuple[str, str], list[Offer]] | None = None
        self._brought = tuple(brought)
        self.discover = discover
        self.files: dict[str, OneFile] = {}
        self.manager = pluggy.PluginManager("p2pkit")
        self.manager.add_hookspecs(hookspecs)
        self.found: list[Plugin] = []
        candidates = [*builtin(), *(installed() if discover else ())]
        states = [_allowed(candidate, enable, block) for candidate in candidates]
        claims: dict[str, list[str]] = defaultdict(list)
        for candidate, state in zip(candidates, states, strict=True):
            if state == "loaded":
                claims[candidate.name].append(candidate.origin)
        for candidate, state in zip(candidates, states, strict=True):
            if state != "loaded":
                self._note(candidate, state)
            elif len(claims[candidate.name]) > 1:
                self._note(candidate, "failed", error=_contested(candidate.name, claims[candidate.name]))
            else:
                self._add(candidate)
        self._save()
        for given in files:
            self._add_file(given if isinstance(given, OneFile) else OneFile.read(given))
        for file in brought:
            if (state := self.allowed(file)) == "loaded":
                self._add_file(file)
            else:
                self._note(in_file(file), state)

    def allowed(self, file: OneFile) -> State:
        """Say what may become of a one-file plugin that a model brings along."""
        return _allowed(in_file(file), self._rules["enable"], self._rules["block"])

    def with_brought(self, files: Sequence[OneFile]) -> Plugins:
        """Return these plugins with those that a model brings along; these themselves stay as they are."""
        own = [file for file in self.files.values() if file not in self._brought]
        return Plugins(**self._rules, files=own, brought=[*self._brought, *files])

    def _add_file(self, file: OneFile) -> None:
        plugin = self._add(in_file(file))
        if plugin.state == "failed":
            raise PluginError(Problem(str(file.path), plugin.error, "mend the file that --plugin names"))
        self.files[file.name] = file

    @property
    def components(self) -> list[Component]:
        """All components of all loaded plugins, built-ins first; imports what has not been yet."""
        self.import_all()
        return [component for plugin in self.found for component in plugin.components]

    @property
    def offers(self) -> list[Offer]:
        """What all plugins offer, by name; imports nothing."""
        return [offer for plugin in self.found for offer in plugin.offers]

    def offering(self, kind: str, name: str) -> list[Offer]:
        """Return every plugin's offer of that kind and bare name; imports nothing."""
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for offer in self.offers:
                self._by_name[offer.kind, offer.name].append(offer)
        return self._by_name.get((kind, name), [])

    def component(self, offer: Offer) -> Component | None:
        """Return the component of an offer; None where its plugin, once it is imported, no longer has it."""
        owner = next((plugin for plugin in self.found if offer in plugin.offers), None)
        if owner is None:
            return None
        found = self._import(owner).components
        return next((each for each in found if (each.kind, each.full_name) == (offer.kind, offer.full_name)), None)

    def import_all(self) -> bool:
        """Import what has not been yet; say whether there was anything."""
        waiting = [plugin for plugin in self.found if plugin.name in self._waiting]
        return bool([self._import(plugin) for plugin in waiting])

    def import_listeners(self) -> list[str]:
        """Import whoever hears of runs; say of each that can't be why."""
        before = self.complaints()
        for plugin in [plugin for plugin in self.found if plugin.events]:
            self._import(plugin)
        return [complaint for complaint in self.complaints() if complaint not in before]

    def _import(self, plugin: Plugin) -> Plugin:
        """Import a plugin that is known by its offers alone; what comes of it takes their place."""
        with self._importing:
            place = next(
                i for i, each in enumerate(self.found) if (each.name, each.origin) == (plugin.name, plugin.origin)
            )
            candidate = self._waiting.get(plugin.name)
            if candidate is not None and candidate.origin == plugin.origin:
                del self._waiting[plugin.name]
                self.found[place] = self._imported(candidate)
                self._by_name = None
                self._save()
            return self.found[place]

    def _save(self) -> None:
        if self._remembered is not None:
            self._remembered.save()

    @property
    def failed(self) -> list[Plugin]:
        """The plugins that were allowed but could not be loaded."""
        return [plugin for plugin in self.found if plugin.state == "failed"]

    def complaints(self) -> list[str]:
        """Say of each plugin what can't be used of it, if anything, and why."""
        said: list[str] = []
        for plugin in self.found:
            name = f"plugin {plugin.name} ({plugin.origin})"
            said += [f"{name} is left out: {plugin.error}"] if plugin.error else []
            said += [f"{name} offers what can't be used: {reason}" for reason in plugin.left_out]
        return said

    def versions(self) -> dict[str, str]:
        """Return the version of each loaded plugin that is not a built-in."""
        loaded = (p for p in self.found if p.state == "loaded" and p.origin != OWN)
        return {plugin.name: plugin.version or plugin.origin for plugin in loaded}

    def _note(self, candidate: Candidate, state: State, **more: Untyped) -> Plugin:
        plugin = _told(candidate, state, **more)
        self.found.append(plugin)
        self._by_name = None
        return plugin

    def _add(self, candidate: Candidate) -> Plugin:
        """Take one plugin up: by what is known of it, or by importing it."""
        known = self._known(candidate)
        if known is not None:
            self._waiting[candidate.name] = candidate
            self._register_readers(known.offers)
            return self._note(candidate, "loaded", offers=known.offers, events=known.events)
        for plugin in self.found:
            if plugin.name in self._waiting and self._waiting[plugin.name].module == candidate.module:
                self._import(plugin)  # the first of two names for one module has it
        plugin = self._imported(candidate)
        self.found.append(plugin)
        self._by_name = None
        return plugin

    def _known(self, candidate: Candidate) -> Known | None:
        if self._remembered is None or not candidate.module or self._taken(candidate):
            return None
        return self._remembered.get(candidate.key, self._remembered.stamp(candidate.module))

    def _imported(self, candidate: Candidate) -> Plugin:
        """Import one plugin; whatever goes wrong stays its own affair and leaves no trace in the manager."""
        taken = self._taken(candidate)
        if taken:
            return _told(candidate, "failed", error=taken)
        stamp = self._remembered.stamp(candidate.module) if self._remembered and candidate.module else ""
        try:
            with redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's answer
                module = candidate.load()
                api = _check_api(module)
                self.manager.register(module, candidate.name)
                _check_hooks(self.manager, module)
                offered = list(_offered(self.manager, module))
                components, unusable = _usable(offered, candidate.namespace, api)
            events = tuple(c.name for c in self.manager.get_hookcallers(module) or () if c.name not in OFFERS)
            if unusable and not (components or events):
                raise unusable[0]
        except (Exception, SystemExit) as error:  # a plugin may raise anything, and none may stop the others
            if self.manager.has_plugin(candidate.name):
                self.manager.unregister(name=candidate.name)
            return _told(candidate, "failed", error=_sentence(error))
        offers, left_out = tuple(map(Offer.of, components)), tuple(map(_sentence, unusable))
        if self._remembered is not None and not left_out:
            self._remembered.put(candidate.key, Known(stamp, offers, events))
        self._register_readers(offers)
        return _told(candidate, "loaded", offers=offers, components=tuple(components), events=events, left_out=left_out)

    def _register_readers(self, offers: Sequence[Offer]) -> None:
        for offer in (each for each in offers if each.kind == Reader.kind):
            from p2pkit.images.formats import register  # not where names alone are listed: it takes long

            register(offer.full_name, offer.suffixes, partial(self._reader, offer))

    def _reader(self, offer: Offer, params: Plain) -> FileReader:
        component = self.component(offer)
        if component is None:
            raise OSError(f"its plugin can't be imported, or no longer has it: {'; '.join(self.complaints())}")
        made: FileReader = component.build(None, params)
        return made

    def _taken(self, candidate: Candidate) -> str:
        """Say why a plugin can't have its name; empty where it can."""
        if candidate.namespace == OWN and candidate.origin != OWN:
            return f"the name {OWN!r} is {OWN}'s own; rename the entry point or file"
        if candidate.name in self._waiting or self.manager.has_plugin(candidate.name):
            return f"another plugin is already called {candidate.name!r}; uninstall or block one of the two"
        return ""


def _told(candidate: Candidate, state: State, **more: Untyped) -> Plugin:
    return Plugin(candidate.name, candidate.origin, candidate.version, state, **more)


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _contested(name: str, distributions: Sequence[str]) -> str:
    """Say that a name leads to several distributions, of which none may have it unasked."""
    owners = " and ".join(sorted(distributions))
    line = f"plugins: {{block: [{name}@{sorted(distributions)[-1]}]}}"
    return f"{owners} both have a plugin {name!r}, so neither is imported; uninstall one, or write `{line}`"


def _allowed(candidate: Candidate, enable: Collection[str] | None, block: Collection[str]) -> State:
    if candidate.named_in(block):
        return "blocked"
    if enable is None or candidate.origin == OWN or candidate.named_in(enable):
        return "loaded"
    return "not enabled"


def _check_api(module: object) -> int:
    """Return the plugin API that a plugin is written for, if that is known here."""
    wanted: int = getattr(module, "P2PKIT_PLUGIN_API", 1)
    if wanted > PLUGIN_API:
        raise RuntimeError(f"written for plugin API {wanted}, this p2pkit has {PLUGIN_API}; upgrade p2pkit")
    return wanted


def _check_hooks(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse what pluggy accepts in silence: misspelt hooks and hooks without their marker."""
    known = [spec for spec in vars(hookspecs) if spec.startswith("p2pkit_")]
    for name in (name for name in dir(module) if name.startswith("p2pkit_") and callable(getattr(module, name))):
        if manager.parse_hookimpl_opts(module, name) is None:
            raise RuntimeError(f"{name} is not marked with @p2pkit.hookimpl")
        if name not in known:
            raise RuntimeError(f"there is no hook {name}; the hooks are {', '.join(known)}")
    manager.check_pending()


def _offered(manager: pluggy.PluginManager, module: object) -> Iterator[tuple[str, type[Component], object]]:
    """Yield what a plugin offers, each with the hook and the kind that the hook is for."""
    for kind in KINDS:
        for component in _call(manager, module, kind.hook):
            yield kind.hook, kind, component


def _usable(
    offered: Sequence[tuple[str, type[Component], object]], plugin: str, api: int
) -> tuple[list[Component], list[Exception]]:
    """Return the components that can be used, and why the others can't: one harms none but itself."""
    times = Counter((kind.kind, each.name) for _, kind, each in offered if isinstance(each, Component))
    components: list[Component] = []
    unusable: list[Exception] = []
    for hook, kind, component in offered:
        try:
            if not isinstance(component, kind):
                raise TypeError(f"{hook} yielded {component!r}, not a p2pkit.{kind.__name__}")
            if times[kind.kind, component.name] > 1:
                raise ValueError(f"{hook} offers {component.name!r} twice")
            owned = replace(component, plugin=plugin, api=api)
            owned.parameters.model_json_schema()  # an unusable signature is the plugin's failure, not a run's
            components.append(owned)
        except Exception as error:  # pydantic raises what it likes at odd types
            unusable.append(error)
    return components, list({str(error): error for error in unusable}.values())


def _call(manager: pluggy.PluginManager, module: object, hook: str) -> Iterable[object]:
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    results = manager.subset_hook_caller(hook, others)()
    return [component for offered in results if offered is not None for component in offered]
