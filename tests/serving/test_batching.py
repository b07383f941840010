"""Requests are gathered, and none costs the others anything."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from p2pkit.errors import DataError, Problem
from p2pkit.inference.companions import Input
from p2pkit.serving.batching import Batcher


def tried(scenario, translate=lambda sources: [source.planes + 1 for source in sources], batch=4, wait=0.2):
    """Run a scenario with a batcher; return what it returns, and how many were translated together each time."""
    groups: list[int] = []

    async def whole():
        with ThreadPoolExecutor(1) as worker:
            batcher = Batcher(translate, worker, batch=batch, wait=wait, seen=groups.append)
            running = asyncio.create_task(batcher.run())
            try:
                async with asyncio.timeout(20):
                    return await scenario(batcher)
            finally:
                running.cancel()

    return asyncio.run(whole()), groups


def image(value: float, side: int = 4, **vectors: torch.Tensor) -> Input:
    return Input(torch.full((1, side, side), float(value)), vectors)


def test_those_of_one_size_go_together_and_each_gets_its_own():
    async def scenario(batcher):
        return await asyncio.gather(*(batcher.fake(image(n, 4 + n % 2)) for n in range(6)))

    fakes, groups = tried(scenario)
    assert [float(fake.mean()) for fake in fakes] == [1, 2, 3, 4, 5, 6]
    assert groups == [3, 3]


def test_those_of_other_vectors_do_not():
    async def scenario(batcher):
        age = torch.zeros(1)
        return await asyncio.gather(*(batcher.fake(image(n, **({"age": age} if n % 2 else {}))) for n in range(6)))

    assert tried(scenario)[1] == [3, 3]


def test_a_full_batch_does_not_wait():
    async def scenario(batcher):
        return await asyncio.gather(*(batcher.fake(image(n)) for n in range(8)))

    assert tried(scenario, wait=1000)[1] == [4, 4]


def test_who_has_gone_is_not_translated():
    async def scenario(batcher):
        asked = [asyncio.create_task(batcher.fake(image(n))) for n in range(3)]
        await asyncio.sleep(0)
        asked[0].cancel()
        return await asyncio.gather(*asked[1:])

    fakes, groups = tried(scenario)
    assert ([float(fake.mean()) for fake in fakes], groups) == ([2, 3], [2])


def test_one_that_fails_costs_the_others_nothing():
    def translate(sources):
        if any(float(source.planes.mean()) == 1 for source in sources):
            raise DataError(Problem("", "one"))
        return [source.planes for source in sources]

    async def scenario(batcher):
        return await asyncio.gather(*(batcher.fake(image(n)) for n in range(3)), return_exceptions=True)

    fakes, _ = tried(scenario, translate)
    assert isinstance(fakes[1], DataError)
    assert [float(fakes[n].mean()) for n in (0, 2)] == [0, 2]


@pytest.mark.parametrize("wait", [0.0, 0.01])
def test_one_alone_is_answered(wait):
    assert float(tried(lambda batcher: batcher.fake(image(1)), wait=wait)[0].mean()) == 2
