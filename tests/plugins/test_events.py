from __future__ import annotations

from pathlib import Path

import pytest

from p2pkit import DatasetFacts, DeviceError, ImageSpec, PairSpec, PluginError, Report, Run, Samples
from p2pkit.plugins.events import Events, replay
from p2pkit.plugins.loading import Plugins
from p2pkit.progress import Silent

HEARD: list[tuple] = []
LISTENER = """
    from tests_heard import HEARD

    @p2pkit.hookimpl
    def p2pkit_run_started(run): HEARD.append((__name__, "started", run.name))
    @p2pkit.hookimpl
    def p2pkit_scalars(step, scalars): HEARD.append((__name__, "scalars", step, dict(scalars)))
    @p2pkit.hookimpl
    def p2pkit_evaluated(step, report): HEARD.append((__name__, "evaluated", step, report.count))
    @p2pkit.hookimpl
    def p2pkit_checkpointed(step, path): HEARD.append((__name__, "checkpointed", step, path))
    @p2pkit.hookimpl
    def p2pkit_run_ended(error): HEARD.append((__name__, "ended", error))
"""
FAILING = """
    @p2pkit.hookimpl
    def {hook}(run): raise {error}
"""
IMAGES = PairSpec(ImageSpec(3), ImageSpec(3), 8, 8)
RUN = Run("a-run", "training", Path("runs"), {}, DatasetFacts("shapes", IMAGES, {}, ""), {})


@pytest.fixture
def events(write_plugin, monkeypatch):
    """Events of a run with a listener, and a plugin before it that fails in the named hook."""
    import sys
    import types

    heard = types.ModuleType("tests_heard")
    heard.HEARD = HEARD
    HEARD.clear()
    monkeypatch.setitem(sys.modules, "tests_heard", heard)

    def make(hook: str | None = None, error: str = "OSError('disk full')", *, strict: bool = False):
        files = [write_plugin(FAILING.format(hook=hook, error=error), "clumsy")] if hook else []
        files.append(write_plugin(LISTENER, "listener"))
        plugins = Plugins(files=files, discover=False, block=["p2pkit.mlflow"])
        notes: list[str] = []
        return Events(plugins, RUN, notes.append, strict=strict), notes

    return make


def said() -> list:
    return [entry[1:] for entry in HEARD]


def test_every_event_reaches_who_listens(events):
    run, notes = events()
    run.started()
    run.scalars(5, {"train/l1": 0.5})
    run.evaluated(6, Report("val", 8, {}), Samples((), (), Path("sheet.png")))
    run.checkpointed(7, Path("checkpoint"))
    run.ended(None)
    assert notes == []
    assert [listener.name for listener in run.listening] == ["plugin listener"]
    assert said() == [
        ("started", "a-run"),
        ("scalars", 5, {"train/l1": 0.5}),
        ("evaluated", 6, 8),
        ("checkpointed", 7, Path("checkpoint")),
        ("ended", None),
    ]


@pytest.mark.parametrize("error", ["OSError('disk full')", "p2pkit.DeviceError(p2pkit.Problem('', 'disk full'))"])
def test_a_plugin_that_fails_is_named_once_and_left_out(events, error):
    run, notes = events("p2pkit_scalars", error)
    run.started()
    run.scalars(1, {})
    run.scalars(2, {})
    run.ended(None)
    kind = error.partition("(")[0].removeprefix("p2pkit.")
    assert notes == [f"plugin clumsy failed in p2pkit_scalars: {kind}: disk full; the run goes on without it"]
    assert said() == [("started", "a-run"), ("scalars", 1, {}), ("scalars", 2, {}), ("ended", None)]


def test_strict_makes_a_failure_end_the_run(events):
    run, notes = events("p2pkit_scalars", strict=True)
    run.started()
    with pytest.raises(PluginError) as caught:
        run.scalars(1, {})
    (problem,) = caught.value.problems
    assert problem.cause == "plugin clumsy failed in p2pkit_scalars: OSError: disk full"
    assert problem.remedy == "block clumsy in registry.yaml to do without it"
    assert isinstance(caught.value.__cause__, OSError)
    assert notes == []


def test_a_plugin_that_fails_at_the_start_stops_the_run(events):
    run, _ = events("p2pkit_run_started")
    with pytest.raises(PluginError, match="plugin clumsy failed in p2pkit_run_started: OSError: disk full"):
        run.started()
    run.ended(None)
    assert "plugin clumsy" not in [listener.name for listener in run.listening]


def test_an_error_meant_for_users_keeps_its_words(events):
    run, _ = events("p2pkit_run_started", "p2pkit.DeviceError(p2pkit.Problem('here', 'no disk', 'buy one'))")
    with pytest.raises(DeviceError, match="here: no disk\n  -> buy one"):
        run.started()


@pytest.mark.parametrize("error", ["OSError('disk full')", "p2pkit.DeviceError(p2pkit.Problem('', 'disk full'))"])
def test_the_end_is_heard_by_all_even_when_strict(events, error):
    run, notes = events("p2pkit_run_ended", error, strict=True)
    reason = KeyboardInterrupt()
    run.ended(reason)
    assert said() == [("ended", reason)]
    assert len(notes) == 1


def test_a_failure_is_told_where_nothing_else_is_shown(events):
    run, _ = events("p2pkit_scalars")
    run.note = Silent().warn
    with pytest.warns(RuntimeWarning, match=r"plugin clumsy failed in p2pkit_scalars: OSError: disk full"):
        run.scalars(5, {})


TALKING = """
    @p2pkit.hookimpl
    def p2pkit_scalars(step): return f"at {step} all is well" if step == 2 else None
    @p2pkit.hookimpl
    def p2pkit_run_ended(): return "3 % is missing"
    @p2pkit.hookimpl
    def p2pkit_replay(folder): return f"sent what was left in {folder}"
"""


def test_what_plugins_say_is_told(write_plugin):
    plugins = Plugins(files=[write_plugin(TALKING, "talking")], discover=False, block=["p2pkit.mlflow"])
    notes: list[str] = []
    run = Events(plugins, RUN, notes.append)
    run.scalars(1, {})
    run.scalars(2, {})
    run.ended(None)
    assert notes == ["at 2 all is well", "3 % is missing"]
    assert replay(plugins, Path("runs")) == ["sent what was left in runs"]


class Recorder:
    """Fails where it is told to, and remembers what it heard otherwise."""

    def __init__(self, run: Run, fails: str = "") -> None:
        self.heard: list[str] = []
        self.fails = fails
        HEARD.append(("tracker", run.name))

    def scalars(self, step, scalars):
        if self.fails == "scalars":
            raise OSError("disk full")
        return f"heard {step}"

    def ended(self, error, reason):
        HEARD.append(("tracker ended", reason))


def tracked(make, *, strict: bool = False) -> tuple[Events, list[str]]:
    HEARD.clear()
    notes: list[str] = []
    plugins = Plugins(discover=False, block=["p2pkit.mlflow"])
    return Events(plugins, RUN, notes.append, strict=strict, trackers={"mine": make}), notes


def test_a_tracker_is_made_when_the_run_begins_and_hears_what_it_has_methods_for():
    run, notes = tracked(Recorder)
    assert HEARD == []
    run.started()
    run.scalars(3, {})
    run.checkpointed(3, Path("checkpoint"))
    run.ended(None, "done")
    assert notes == ["heard 3"]
    assert HEARD == [("tracker", "a-run"), ("tracker ended", "done")]


def test_a_tracker_that_fails_is_named_and_left_out():
    run, notes = tracked(lambda run: Recorder(run, "scalars"))
    run.started()
    run.scalars(1, {})
    run.scalars(2, {})
    run.ended(None, "done")
    assert notes == ["tracker mine failed in its scalars(): OSError: disk full; the run goes on without it"]
    assert HEARD == [("tracker", "a-run")]


def test_what_is_no_tracker_stops_the_run_before_it_begins():
    run, _ = tracked(lambda run: object())
    with pytest.raises(PluginError, match=r"made a object where a p2pkit\.RunTracker is wanted"):
        run.started()
