"""Tell trackers and plugins what happens to a run; one that fails is named and left out, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from p2pkit.errors import P2pkitError, PluginError, Problem, first_line
from p2pkit.plugins.loading import Plugins
from p2pkit.types import Notice, Report, Run, Samples, optional
from p2pkit.untyped import Plain


class _Hooks:
    """The hooks of a plugin that listens to every run."""

    def __init__(self, plugins: Plugins, plugin: str) -> None:
        self.name = f"plugin {plugin}"
        self.manager, self.plugin = plugins.manager, plugin
        self.remedy = f"block {plugin} in registry.yaml to do without it"

    def hear(self, event: str, run: Run, **values: object) -> list[object]:
        """Be told of an event; answer with sentences for the user."""
        module = self.manager.get_plugin(self.plugin)
        others = [plugin for plugin in self.manager.get_plugins() if plugin is not module]
        told: list[object] = self.manager.subset_hook_caller(self.place(event), others)(run=run, **values)
        return told

    @staticmethod
    def place(event: str) -> str:
        """Return the hook of an event."""
        return f"p2pkit_{_RUN_EVENTS.get(event, event)}"


class _Tracker:
    """A tracker of the run's, which is made when the run begins."""

    def __init__(self, name: str, make: Callable[[Run], object]) -> None:
        self.name = f"tracker {name}"
        self.make = make
        self.remedy = f"set tracking.trackers.{name} to false to do without it"
        self.made: object = None

    def hear(self, event: str, run: Run, **values: object) -> list[object]:
        """Be told of an event; answer with sentences for the user."""
        if event == "started":
            self.made = self.make(run)
            wrong = optional.misfits("tracker", self.made)
            if wrong:
                raise TypeError(f"its factory {wrong[0]}")
            return []
        method = getattr(self.made, event, None)
        told = None if method is None else method(**values)
        return [] if told is None else [told]

    @staticmethod
    def place(event: str) -> str:
        """Return the method of an event."""
        return "its beginning" if event == "started" else f"its {event}()"


_RUN_EVENTS = {"started": "run_started", "ended": "run_ended"}


class Events:
    """What trackers and plugins are told of one run.

    Args:
        plugins: The loaded plugins.
        run: The run.
        note: Called with a warning for the user.
        tell: Called with what is no warning.
        strict: Whether a failure of one of them ends the run.
        trackers: By name, what makes the run's trackers.
    """

    def __init__(
        self,
        plugins: Plugins,
        run: Run,
        note: Callable[[str], None],
        tell: Callable[[str], None] | None = None,
        *,
        strict: bool = False,
        trackers: Mapping[str, Callable[[Run], object]] | None = None,
    ) -> None:
        self.run = run
        self.note = note
        self.tell = tell or note
        self.strict = strict
        self.listening: list[_Hooks | _Tracker] = [_Tracker(*each) for each in (trackers or {}).items()]
        for complaint in plugins.import_listeners():
            note(complaint)
        self.listening += [_Hooks(plugins, p.name) for p in plugins.found if p.state == "loaded" and p.events]
        self.interrupted: set[_Hooks | _Tracker] = set()
        self.told: set[_Hooks | _Tracker] = set()  # that the run has ended

    def started(self) -> None:
        """The run begins; a plugin that fails here stops it, since nothing is lost yet."""
        self._tell("started", strict=True)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Losses and speed were read."""
        self._tell("scalars", step=step, scalars=scalars)

    def evaluated(self, step: int, report: Report, samples: Samples) -> None:
        """An evaluation is complete."""
        self._tell("evaluated", step=step, report=report, samples=samples)

    def checkpointed(self, step: int, path: Path, *, best: bool = False) -> None:
        """A checkpoint is complete."""
        self._tell("checkpointed", step=step, path=path, best=best)

    def went_back(self, step: int) -> None:
        """The run goes on from an earlier step than it had come to."""
        self._tell("went_back", step=step)

    def summarised(self, facts: Plain, files: Sequence[Path]) -> None:
        """It is known what the run comes to as a whole."""
        self._tell("summarised", facts=facts, files=files)

    def ended(self, error: BaseException | None, reason: str = "") -> None:
        """The run is over; each plugin hears of it, whatever the others do."""
        self._tell("ended", error=error, reason=reason, strict=False, last=True)

    def _tell(self, event: str, *, strict: bool | None = None, last: bool = False, **values: object) -> None:
        for listener in [listener for listener in self.listening if listener not in self.told]:
            try:
                told = listener.hear(event, self.run, **values)
                if last:
                    self.told.add(listener)
            except KeyboardInterrupt:  # a signal, which is no fault of the listener's
                self.interrupted.add(listener)
                raise
            except Exception as error:
                self.listening.remove(listener)
                if listener in self.interrupted:
                    continue
                fatal = self.strict if strict is None else strict
                if fatal and isinstance(error, P2pkitError):
                    raise
                cause = f"{listener.name} failed in {listener.place(event)}: {first_line(error, typed=True)}"
                if fatal:
                    raise PluginError(Problem("", cause, listener.remedy)) from error
                self.note(f"{cause}; the run goes on without it")
            else:
                for sentence in told:
                    (self.tell if isinstance(sentence, Notice) else self.note)(str(sentence))


def replay(plugins: Plugins, folder: Path) -> list[str]:
    """Let trackers send what has not got through, for the runs in a folder, and end the records of those killed.

    Returns:
        What was done, in sentences.

    Raises:
        PluginError: A tracker can't be reached.
    """
    plugins.import_listeners()
    return [str(sentence) for sentence in plugins.manager.hook.p2pkit_replay(folder=folder)]
