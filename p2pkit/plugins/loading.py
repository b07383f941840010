"""Find plugins, load each on its own, and know who offered what and why another failed."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from p2pkit import hookspecs
from p2pkit.components import KINDS, Component
from p2pkit.errors import PluginError, Problem
from p2pkit.hookspecs import OFFERS, PLUGIN_API

GROUP = "p2pkit.plugins"
OWN = "p2pkit"
BUILTIN: tuple[tuple[str, str], ...] = (
    ("p2pkit.generators", "p2pkit.builtin.generators"),
    ("p2pkit.discriminators", "p2pkit.builtin.discriminators"),
    ("p2pkit.losses", "p2pkit.builtin.losses"),
    ("p2pkit.datasets", "p2pkit.builtin.datasets"),
    ("p2pkit.augmentations", "p2pkit.builtin.augmentations"),
    ("p2pkit.metrics", "p2pkit.builtin.metrics"),
    ("p2pkit.mlflow", "p2pkit.builtin.mlflow_tracker"),
)

State = Literal["loaded", "blocked", "not enabled", "failed"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and the plugin it comes from.

    Args:
        component: The component.
        plugin: The plugin's namespace: `p2pkit` for the built-ins, else the plugin's name.
    """

    component: Component
    plugin: str

    @property
    def full_name(self) -> str:
        """The name that always works in a config, `plugin:name`."""
        return f"{self.plugin}:{self.component.name}"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found, whether or not it could be loaded.

    Args:
        name: Entry point's name, file's stem, or the built-in module's name.
        origin: Distribution, file or `p2pkit` itself.
        version: The distribution's version, empty for a file.
        state: What became of it.
        offers: Its components.
        events: The run-event hooks it implements.
        error: Why it failed, empty otherwise.
    """

    name: str
    origin: str
    version: str
    state: State
    offers: tuple[Offer, ...] = ()
    events: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    namespace: str
    origin: str
    version: str
    load: Callable[[], object]


class Plugins:
    """The plugins of this process.

    Args:
        enable: Names that may be loaded besides the built-ins; None for all.
        block: Names that are never imported.
        files: One-file plugins; unlike the others, one that fails is an error at once.
        discover: Whether to look for installed plugins.
    """

    def __init__(
        self,
        *,
        enable: Collection[str] | None = None,
        block: Collection[str] = (),
        files: Sequence[Path] = (),
        discover: bool = True,
    ) -> None:
        self.manager = pluggy.PluginManager("p2pkit")
        self.manager.add_hookspecs(hookspecs)
        self.found: list[Plugin] = []
        installed = list(_installed()) if discover else []
        for candidate in [*_builtin(), *installed]:
            state = _allowed(candidate, enable, block)
            self._add(candidate) if state == "loaded" else self._note(candidate, state)
        for file in files:
            plugin = self._add(_one_file(file))
            if plugin.state == "failed":
                raise PluginError(Problem(str(file), plugin.error, "mend the file that --plugin names"))

    @property
    def offers(self) -> list[Offer]:
        """All components of all loaded plugins, built-ins first."""
        return [offer for plugin in self.found for offer in plugin.offers]

    @property
    def failed(self) -> list[Plugin]:
        """The plugins that were allowed but could not be loaded."""
        return [plugin for plugin in self.found if plugin.state == "failed"]

    def versions(self) -> dict[str, str]:
        """Return the version of each loaded plugin that is not a built-in."""
        loaded = (p for p in self.found if p.state == "loaded" and p.origin != OWN)
        return {plugin.name: plugin.version or plugin.origin for plugin in loaded}

    def _note(self, candidate: _Candidate, state: State, **more: Any) -> Plugin:
        plugin = Plugin(candidate.name, candidate.origin, candidate.version, state, **more)
        self.found.append(plugin)
        return plugin

    def _add(self, candidate: _Candidate) -> Plugin:
        """Load one plugin; whatever goes wrong stays its own affair and leaves no trace in the manager."""
        taken = _taken(self.manager, candidate)
        if taken:
            return self._note(candidate, "failed", error=taken)
        try:
            module = candidate.load()
            _check_api(module)
            self.manager.register(module, candidate.name)
            _check_hooks(self.manager, module)
            offers = tuple(_collect(self.manager, module, candidate.namespace))
        except (Exception, SystemExit) as error:  # a plugin may raise anything, and none may stop the others
            if self.manager.has_plugin(candidate.name):
                self.manager.unregister(name=candidate.name)
            return self._note(candidate, "failed", error=f"{type(error).__name__}: {error}")
        events = tuple(c.name for c in self.manager.get_hookcallers(module) or () if c.name not in OFFERS)
        return self._note(candidate, "loaded", offers=offers, events=events)


def _taken(manager: pluggy.PluginManager, candidate: _Candidate) -> str:
    """Say why a plugin can't have its name; empty where it can."""
    if candidate.namespace == OWN and candidate.origin != OWN:
        return f"the name {OWN!r} is {OWN}'s own; rename the entry point or file"
    if manager.has_plugin(candidate.name):
        return f"another plugin is already called {candidate.name!r}; uninstall or block one of the two"
    return ""


def _allowed(candidate: _Candidate, enable: Collection[str] | None, block: Collection[str]) -> State:
    if candidate.name in block:
        return "blocked"
    if enable is None or candidate.origin == OWN or candidate.name in enable:
        return "loaded"
    return "not enabled"


def _builtin() -> Iterator[_Candidate]:
    version = importlib.metadata.version("p2pkit")
    for name, module in BUILTIN:
        yield _Candidate(name, OWN, OWN, version, lambda module=module: importlib.import_module(module))  # type: ignore[misc]  # bound early


def _installed() -> Iterator[_Candidate]:
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        yield _Candidate(entry.name, entry.name, dist.name if dist else "?", dist.version if dist else "", entry.load)


def _one_file(file: Path) -> _Candidate:
    def load() -> ModuleType:
        if not file.is_file():
            raise FileNotFoundError("there is no such file")
        name = f"p2pkit_plugin_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return _Candidate(file.stem, file.stem, str(file), "", load)


def _check_api(module: object) -> None:
    wanted = getattr(module, "P2PKIT_PLUGIN_API", 1)
    if wanted > PLUGIN_API:
        raise RuntimeError(f"written for plugin API {wanted}, this p2pkit has {PLUGIN_API}; upgrade p2pkit")


def _check_hooks(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse what pluggy accepts in silence: misspelt hooks and hooks without their marker."""
    known = [spec for spec in vars(hookspecs) if spec.startswith("p2pkit_")]
    for name in (name for name in dir(module) if name.startswith("p2pkit_") and callable(getattr(module, name))):
        if manager.parse_hookimpl_opts(module, name) is None:
            raise RuntimeError(f"{name} is not marked with @p2pkit.hookimpl")
        if name not in known:
            raise RuntimeError(f"there is no hook {name}; the hooks are {', '.join(known)}")
    manager.check_pending()


def _collect(manager: pluggy.PluginManager, module: object, namespace: str) -> Iterator[Offer]:
    seen: set[tuple[str, str]] = set()
    for hook, kind in zip(OFFERS, KINDS, strict=True):
        for component in _call(manager, module, hook):
            if not isinstance(component, kind):
                raise TypeError(f"{hook} yielded {component!r}, not a p2pkit.{kind.__name__}")
            if (kind.kind, component.name) in seen:
                raise ValueError(f"{hook} offers {component.name!r} twice")
            seen.add((kind.kind, component.name))
            component.parameters.model_json_schema()  # an unusable signature is the plugin's failure, not a run's
            yield Offer(component, namespace)


def _call(manager: pluggy.PluginManager, module: object, hook: str) -> Iterable[object]:
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]
    results = manager.subset_hook_caller(hook, others)()
    return [component for offered in results if offered is not None for component in offered]
