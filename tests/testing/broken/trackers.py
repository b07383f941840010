"""Trackers of which each breaks the one rule that it is named after."""

import p2pkit


class Fine:
    """Counts events."""

    def __init__(self, run: p2pkit.Run) -> None:
        self.path = run.folder / "events.txt"
        self.path.touch()

    def scalars(self, step, scalars):
        with self.path.open("a") as file:
            file.write(f"{step}\n")


class Fails(Fine):
    """Divides by the number of facts."""

    def summarised(self, facts, files):
        self.scalars(1 / (len(facts) - 2), {})


class Talks(Fine):
    """Says what is no sentence."""

    def scalars(self, step, scalars):
        return {"step": step}


class Once(Fine):
    """Wants a new file."""

    def __init__(self, run: p2pkit.Run) -> None:
        (run.folder / "events.txt").touch(exist_ok=False)
        super().__init__(run)


class Overwrites(Fine):
    """Writes over the run's config."""

    def __init__(self, run: p2pkit.Run) -> None:
        super().__init__(run)
        self.path = run.folder / "run.yaml"


@p2pkit.hookimpl
def p2pkit_trackers():
    yield p2pkit.Tracker("records", Fails)
    yield p2pkit.Tracker("sentences", Talks)
    yield p2pkit.Tracker("goes_on", Once)
    yield p2pkit.Tracker("keeps_run", Overwrites)
    yield p2pkit.Tracker("nothing", Fine)
