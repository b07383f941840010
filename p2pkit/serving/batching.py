"""Requests that come at one time are translated together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from p2pkit.inference.companions import Input

Translate = Callable[[list[Input]], list[Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    source: Input
    answer: asyncio.Future[Tensor]


class Batcher:
    """A model's queue: images of one size go through the network together.

    Args:
        translate: Makes a fake of each source of a group.
        worker: The thread in which it does so.
        batch: Images of a group.
        wait: Seconds that the first of a group waits for others.
        seen: Hears how many were translated together.
    """

    def __init__(
        self, translate: Translate, worker: Executor, *, batch: int, wait: float, seen: Callable[[int], None]
    ) -> None:
        self._translate, self._worker = translate, worker
        self._batch, self._wait, self._seen = batch, wait, seen
        self._waiting: list[_Asked] = []
        self._came = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def fake(self, source: Input) -> Tensor:
        """Wait for the fake of a source.

        Raises:
            P2pkitError: The network does not take it.
        """
        asked = _Asked(source, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._came.set()
        try:
            return await asked.answer
        finally:  # who has gone makes no work
            with suppress(ValueError):
                self._waiting.remove(asked)

    async def run(self) -> None:
        """Translate whatever comes, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            if self._waiting:
                await self._gather()
                await self._answer(self._next())
            if self._waiting:
                self._came.set()

    async def _gather(self) -> None:
        """Wait for others of the first one's size."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                while self._waiting and len(self._alike()) < self._batch:
                    self._came.clear()
                    await self._came.wait()

    def _alike(self) -> list[_Asked]:
        return [asked for asked in self._waiting if asked.source.form == self._waiting[0].source.form]

    def _next(self) -> list[_Asked]:
        group = self._alike()[: self._batch] if self._waiting else []
        self._waiting = [asked for asked in self._waiting if asked not in group]
        return group

    async def _answer(self, group: list[_Asked]) -> None:
        """Translate a group; where that fails each by itself, so that one costs the others nothing."""
        if not group:
            return
        self._seen(len(group))
        loop = asyncio.get_running_loop()
        try:
            fakes = await loop.run_in_executor(self._worker, self._translate, [asked.source for asked in group])
        except Exception as error:  # a network's own; whoever asked for it is told
            if len(group) > 1:
                for asked in group:
                    await self._answer([asked])
            elif not group[0].answer.done():
                group[0].answer.set_exception(error)
            return
        for asked, fake in zip(group, fakes, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(fake)
