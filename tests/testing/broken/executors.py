"""Executors of which each breaks the one rule that it is named after."""

from concurrent.futures import Future

import p2pkit


class Here:
    """Does work at once."""

    def submit(self, work, resources, tell):
        future = Future()
        future.set_result(self.came(work, tell))
        return future

    def came(self, work, tell):
        return p2pkit.do_work(work, tell)

    def close(self):
        pass


class Repeats(Here):
    """Knows one answer."""

    def came(self, work, tell):
        came = super().came(work, tell)
        self.first = getattr(self, "first", came) if work.call.endswith(":add") else None
        return self.first or came


class Reverses(Here):
    """Passes on the last first."""

    def came(self, work, tell):
        said = []
        came = super().came(work, said.append)
        for each in reversed(said):
            tell(each)
        return came


class Raises(Here):
    """Takes what failed for lost."""

    def submit(self, work, resources, tell):
        future = super().submit(work, resources, tell)
        if "problems" in future.result():
            future = Future()
            future.set_exception(RuntimeError("it failed"))
        return future


class Shrugs(Here):
    """Takes what is lost for failed."""

    def came(self, work, tell):
        return {"problems": []} if work.call.endswith(":die") else super().came(work, tell)


class Shuts(Here):
    """Is closed once."""

    def __init__(self):
        self.open = [True]

    def close(self):
        self.open.remove(True)


@p2pkit.hookimpl
def p2pkit_executors():
    yield p2pkit.Executor("each_its_own", Repeats)
    yield p2pkit.Executor("told", Reverses)
    yield p2pkit.Executor("failed", Raises)
    yield p2pkit.Executor("lost", Shrugs)
    yield p2pkit.Executor("closes", Shuts)
    yield p2pkit.Executor("nothing", Here)
