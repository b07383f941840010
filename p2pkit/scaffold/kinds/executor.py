"""An executor to begin with: threads of this process, where a real one would reach for other machines."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated

from pydantic import Field

import p2pkit

P2PKIT_PLUGIN_API = 2


class Threads:
    """Threads of this process: as many pieces of work at a time.

    A sweep or `translate` that is run `--on` it gives it pieces of work, which are plain data. Wherever they are done,
    `p2pkit.do_work` does them.
    """

    def __init__(self, *, threads: Annotated[int, Field(ge=1, le=64, description="How many threads.")] = 2) -> None:
        self.workers = threads
        self._pool = ThreadPoolExecutor(threads)  # which starts none before there is work

    def submit(self, work: p2pkit.Work, resources: p2pkit.Resources, tell: p2pkit.Tell) -> Future[Mapping[str, object]]:
        """Have the work done; an exception of the future would mean that its worker was lost."""
        return self._pool.submit(p2pkit.do_work, work, tell)

    def close(self) -> None:
        """Let go of what has not begun, and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


@p2pkit.hookimpl
def p2pkit_executors() -> list[p2pkit.Executor]:
    """Offer this plugin's executors."""
    return [p2pkit.Executor("threads", Threads)]
