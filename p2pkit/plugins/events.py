"""Tell plugins what happens to a run; a plugin that fails is named and left out, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from p2pkit.errors import P2pkitError, PluginError, Problem, first_line
from p2pkit.plugins.loading import Plugins
from p2pkit.types import Notice, Report, Run, Samples
from p2pkit.untyped import Plain


class Events:
    """The run-event hooks of one run.

    Args:
        plugins: The loaded plugins.
        run: The run.
        note: Called with a warning for the user.
        tell: Called with what is no warning.
        strict: Whether a plugin's failure ends the run.
    """

    def __init__(
        self,
        plugins: Plugins,
        run: Run,
        note: Callable[[str], None],
        tell: Callable[[str], None] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.manager = plugins.manager
        self.run = run
        self.note = note
        self.tell = tell or note
        self.strict = strict
        self.listening = [plugin.name for plugin in plugins.found if plugin.state == "loaded" and plugin.events]
        self.interrupted: set[str] = set()
        self.told: set[str] = set()  # that the run has ended

    def started(self) -> None:
        """The run begins; a plugin that fails here stops it, since nothing is lost yet."""
        self._tell("p2pkit_run_started", strict=True)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Losses and speed were read."""
        self._tell("p2pkit_scalars", step=step, scalars=scalars)

    def evaluated(self, step: int, report: Report, samples: Samples) -> None:
        """An evaluation is complete."""
        self._tell("p2pkit_evaluated", step=step, report=report, samples=samples)

    def checkpointed(self, step: int, path: Path, *, best: bool = False) -> None:
        """A checkpoint is complete."""
        self._tell("p2pkit_checkpointed", step=step, path=path, best=best)

    def went_back(self, step: int) -> None:
        """The run goes on from an earlier step than it had come to."""
        self._tell("p2pkit_went_back", step=step)

    def summarised(self, facts: Plain, files: Sequence[Path]) -> None:
        """It is known what the run comes to as a whole."""
        self._tell("p2pkit_summarised", facts=facts, files=files)

    def ended(self, error: BaseException | None, reason: str = "") -> None:
        """The run is over; each plugin hears of it, whatever the others do."""
        self._tell("p2pkit_run_ended", error=error, reason=reason, strict=False, last=True)

    def _tell(self, hook: str, *, strict: bool | None = None, last: bool = False, **values: object) -> None:
        for name in [name for name in self.listening if name not in self.told]:
            module = self.manager.get_plugin(name)
            others = [plugin for plugin in self.manager.get_plugins() if plugin is not module]
            try:
                told = self.manager.subset_hook_caller(hook, others)(run=self.run, **values)
                if last:
                    self.told.add(name)
            except KeyboardInterrupt:  # a signal, which is no fault of the plugin's
                self.interrupted.add(name)
                raise
            except Exception as error:
                self.listening.remove(name)
                if name in self.interrupted:
                    continue
                fatal = self.strict if strict is None else strict
                if fatal and isinstance(error, P2pkitError):
                    raise
                cause = f"plugin {name} failed in {hook}: {first_line(error, typed=True)}"
                if fatal:
                    raise PluginError(Problem("", cause, f"block {name} in registry.yaml to do without it")) from error
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
    return [str(sentence) for sentence in plugins.manager.hook.p2pkit_replay(folder=folder)]
