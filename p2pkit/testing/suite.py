"""Apply the rules to a plugin's components: as a test class, or one outcome after the other."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from p2pkit.components import Component
from p2pkit.errors import P2pkitError, PluginError, Problem, first_line
from p2pkit.testing.rule import RULES, Rule, Skip
from p2pkit.untyped import Plain, Untyped

if TYPE_CHECKING:
    import pytest

    from p2pkit.plugins.loading import Plugin, Plugins
    from p2pkit.testing.subject import Subject

Examples = Mapping[str, Plain | Sequence[Plain]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule for one component.

    Args:
        kind: The component's kind; `plugin` where the plugin could not be loaded.
        component: The component's name.
        rule: The rule's name.
        state: Whether it was kept.
        reason: What to change, or why the rule was skipped.
    """

    kind: str
    component: str
    rule: str
    state: Literal["passed", "failed", "skipped"]
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """One rule and one component."""

    rule: Rule
    subject: Subject

    def __str__(self) -> str:
        return f"{self.subject.kind}-{self.subject.name}-{self.rule.name}"

    def check(self) -> None:
        """Apply the rule.

        Raises:
            AssertionError: The rule is broken; the text says what to change.
            Skip: The rule can't be applied.
        """
        from p2pkit.testing.seeding import seeded

        __tracebackhide__ = True
        with seeded():
            try:
                if self.subject.untried:
                    raise Skip(self.subject.untried)
                if self.rule.builds and self.rule.name != "builds":
                    if not self.subject.buildable:
                        raise Skip("it can't be built, see the rule `builds`")
                    if reason := self.subject.exempt.get(self.rule.name):
                        raise Skip(f"its plugin says: {reason}")
                self.rule.check(self.subject)
            except (AssertionError, Skip):
                raise
            except Exception as error:
                told = _crash(error)
                first = self.subject.crashes.setdefault(told, self.rule.name)
                if first != self.rule.name:
                    raise Skip(f"it fails as in the rule `{first}`") from None
                raise AssertionError(told) from error

    def outcome(self) -> Outcome:
        """Apply the rule and tell what became of it."""
        state: Literal["passed", "failed", "skipped"] = "passed"
        reason = ""
        try:
            self.check()
        except AssertionError as error:
            state, reason = "failed", str(error)
        except Skip as skip:
            state, reason = "skipped", str(skip)
        return Outcome(self.subject.kind, self.subject.name, self.rule.name, state, reason)


@dataclass(frozen=True)
class Suite:
    """The rules for one plugin.

    Args:
        plugin: The plugin's name; `p2pkit` for the built-ins.
        examples: Parameters that components are built with, by name or by `kind/name`.
        device: Where components are tried; None for the CPU, and a GPU for the rules that need one.
        files: One-file plugins to load.
    """

    plugin: str
    examples: Examples = field(default_factory=dict)
    device: str | None = None
    files: Sequence[Path] = ()

    @cached_property
    def found(self) -> tuple[Plugins, list[Plugin]]:
        """The plugins that are loaded, and those of them that are tested.

        Raises:
            PluginError: No plugin has that name.
        """
        plugins = self._load()
        chosen = [p for p in plugins.found if self.plugin in (p.name, _namespace(p))]
        if not chosen:
            names = sorted({_namespace(plugin) for plugin in plugins.found})
            remedy = f"plugins that are installed: {', '.join(names)}; name a file of your own with --plugin"
            raise PluginError(Problem("", f"no plugin is called {self.plugin!r}", remedy))
        return plugins, chosen

    def _load(self) -> Plugins:
        from p2pkit.plugins.loading import Plugins

        return Plugins(enable=[self.plugin], files=self.files)

    @property
    def broken(self) -> list[str]:
        """Why plugins could not be loaded."""
        failed = [f"{p.name} could not be loaded: {p.error}" for p in self.found[1] if p.state == "failed"]
        return failed + [f"{p.name}: left out: {reason}" for p in self.found[1] for reason in p.left_out]

    @cached_property
    def cases(self) -> list[Case]:
        """Every component with every rule that is for its kind."""
        rules = all_rules()
        return [Case(rule, subject) for subject in self.subjects for rule in rules if subject.kind in rule.kinds]

    @cached_property
    def subjects(self) -> list[Subject]:
        """The components that are tested."""
        from p2pkit.testing.examples import parameters
        from p2pkit.testing.subject import Subject, check_device

        check_device(self.device or "cpu")
        plugins, chosen = self.found
        return [
            Subject(
                component,
                params,
                self.device or "cpu",
                self.device is not None,
                plugins.manager.get_plugin(plugin.name),
                partial(_again, plugins, plugin.name),
                number,
            )
            for plugin in chosen
            for component in plugin.components
            for number, params in enumerate(parameters(component, self.examples), start=1)
        ]

    def outcomes(self) -> Iterator[Outcome]:
        """Apply every rule to every component, one after the other."""
        yield from (Outcome("plugin", self.plugin, "loads", "failed", reason) for reason in self.broken)
        yield from (case.outcome() for case in self.cases)


def conformance(
    plugin: str,
    *,
    examples: Examples | None = None,
    device: str | None = None,
    files: Sequence[str | Path] = (),
    long: Collection[str] = (),
) -> type:
    """Make a test class with one test for each component of a plugin and each rule for its kind.

    Args:
        plugin: The plugin's name, as `p2pkit plugins` shows it; `p2pkit` for the built-ins.
        examples: Parameters that components are built with, by name (or `kind/name`), where they have some without
            a default, or where the defaults are too slow for a test: `{"my_dataset": {"root": "tests/data"}}`. A list
            of several has each of them tried.
        device: Where components are tried; by default the CPU, and a GPU for the rules that need one.
        files: One-file plugins to load.
        long: Components by name whose tests get pytest's marker `long`, all that build them, or as `NAME-RULE` one of
            them; your pytest's config has to declare the marker.

    Returns:
        The class; its name has to begin with `Test` for pytest to find it.
    """
    suite = Suite(plugin, examples or {}, device, tuple(map(Path, files)))

    class TestConformance:
        """One test for each component and rule."""

        def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
            """Load the plugin when tests are collected, and not before."""
            asked = metafunc.config.getoption("p2pkit_device", default=None)
            metafunc.parametrize("case", _pytest_cases(replace(suite, device=asked) if asked else suite, long))

        def test_rule(self, case: Callable[[], None]) -> None:
            """Apply one rule to one component."""
            __tracebackhide__ = True
            case()

    TestConformance.__doc__ = f"Conformance of plugin {plugin}."
    return TestConformance


def _pytest_cases(suite: Suite, long: Collection[str]) -> list[Untyped]:
    """Return a function for each case, as pytest wants it: with a reason to skip, or a sentence and no traceback."""
    import pytest

    def applied(case: Case) -> Callable[[], None]:
        def apply() -> None:
            __tracebackhide__ = True
            try:
                case.check()
            except Skip as skip:
                pytest.skip(str(skip))
            except AssertionError as error:
                if error.__cause__ is not None:  # a crash, whose place is of interest
                    raise
                pytest.fail(str(error), pytrace=False)

        return apply

    def marks(case: Case) -> list[pytest.MarkDecorator]:
        name, rule = case.subject.name, case.rule
        return [pytest.mark.long] if (name in long and rule.builds) or f"{name}-{rule.name}" in long else []

    def failed(sentence: str) -> Callable[[], None]:
        return lambda: pytest.fail(sentence, pytrace=False)

    try:
        broken = suite.broken
        cases = suite.cases
    except P2pkitError as error:
        broken, cases = [str(error)], []
    loads = [pytest.param(failed(sentence), id=f"plugin-{suite.plugin}-loads") for sentence in broken]
    return loads + [pytest.param(applied(case), id=str(case), marks=marks(case)) for case in cases]


def run(
    plugin: str,
    *,
    examples: Examples | None = None,
    device: str | None = None,
    files: Sequence[str | Path] = (),
) -> list[Outcome]:
    """Apply all rules to a plugin's components, without pytest.

    Args:
        plugin: The plugin's name; `p2pkit` for the built-ins.
        examples: Parameters that components are built with, by name or by `kind/name`.
        device: Where components are tried.
        files: One-file plugins to load.

    Returns:
        What became of each rule for each component.

    Raises:
        PluginError: No plugin has that name, or the file can't be loaded.
        DeviceError: There is no such device here.
    """
    return list(Suite(plugin, examples or {}, device, tuple(map(Path, files))).outcomes())


def all_rules() -> list[Rule]:
    """Return every rule there is."""
    from p2pkit.testing import rules

    for module in pkgutil.iter_modules(rules.__path__):
        importlib.import_module(f"{rules.__name__}.{module.name}")
    return RULES


def _again(plugins: Plugins, name: str) -> list[Component]:
    """Ask a plugin's hooks once more."""
    from p2pkit.components import OFFERS

    manager = plugins.manager
    others = [plugin for other, plugin in manager.list_name_plugin() if other != name]
    answers = [answer for hook in OFFERS for answer in manager.subset_hook_caller(hook, others)()]
    return [component for answer in answers if answer is not None for component in answer]


def _namespace(plugin: Plugin) -> str:
    from p2pkit.plugins.finding import OWN

    return OWN if plugin.origin == OWN else plugin.name


def _crash(error: Exception) -> str:
    """Say what a component raised and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"It raised {first_line(error, typed=True)} ({Path(place.filename).name}, line {place.lineno})."
