"""Ask a server from many sides at once, beside translating one image after another."""

from __future__ import annotations

import asyncio
import http.client
import io
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from p2pkit.engine.device.timing import describe
from p2pkit.images.files import image_bytes
from p2pkit.inference.translate import Translator
from p2pkit.serving.models import Served
from p2pkit.serving.server import Listener, make_server
from p2pkit.serving.settings import Settings
from p2pkit.untyped import Json

_NAME = "model"


def bench_serve(
    translator: Translator,
    *,
    clients: Sequence[int] = (1, 8, 32),
    requests: int = 64,
    rounds: int = 3,
    batch: int = 8,
    max_wait: float = 3.0,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Json]:
    """Measure how many requests a server answers, and how long each takes, in turn with translating one by one.

    Server and clients are threads of this process, and share its cores.

    Args:
        translator: The generator.
        clients: How many ask at one time, each its next request when the last one is answered; each is a row.
        requests: How many they ask together.
        rounds: How often each row is measured; a time before does not count.
        batch: As for the server.
        max_wait: As for the server, in milliseconds.
        note: Hears how it comes along.

    Returns:
        One object: the machine, and a row for each number of clients. Ratios of rates are to `one_by_one`, which
        decodes, translates and encodes each image in turn without any server. Processor time is that of server and
        clients for each request, which other work on the machine changes least.
    """
    images = translator.images
    dice = np.random.default_rng(0)
    channels = 1 if images.source.kind == "labels" else images.source.channels
    high = images.source.channels if images.source.kind == "labels" else 256
    buffer = io.BytesIO()
    np.save(buffer, dice.integers(0, high, (images.height, images.width, channels), dtype=np.uint8))
    content = buffer.getvalue()
    settings = Settings(batch, max_wait, rate=0, in_flight=4 * max(clients))
    found: dict[str, list[list[float]]] = {}
    spans: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    with _running(translator, settings) as port:
        for number in range(rounds + 1):
            note(f"round {number} of {rounds}" if number else "warming up")
            for name, act in _variants(translator, content, port, clients, requests):
                begun, used = time.perf_counter(), time.process_time()
                times = act()
                if number:
                    spent.setdefault(name, []).append((time.process_time() - used) / len(times))
                    spans.setdefault(name, []).append(time.perf_counter() - begun)
                    found.setdefault(name, []).append(times)
    rows = [_row(name, found[name], spans[name], spent[name]) for name in found]
    for row in rows:
        row["ratio"] = row["requests_per_second"] / rows[0]["requests_per_second"]
    facts = {"side": images.height, "requests": requests, "batch": batch, "max_wait": max_wait}
    return {"machine": describe(translator.place.device), **translator.place.facts(), **facts, "rows": rows}


def _variants(
    translator: Translator, content: bytes, port: int, clients: Sequence[int], requests: int
) -> Iterator[tuple[str, Callable[[], list[float]]]]:
    yield "one_by_one", lambda: [_alone(translator, content) for _ in range(requests)]
    for several in clients:
        yield f"clients_{several}", lambda several=several: _asked(port, content, several, requests)  # type: ignore[misc]


def _alone(translator: Translator, content: bytes) -> float:
    begun = time.perf_counter()
    taken = translator.sources.read([io.BytesIO(content)], (".npy", ".npy"), given="source")
    image_bytes(translator.fakes([taken.source])[0], ".npy", tags=taken.tags, beside=taken.beside)
    return time.perf_counter() - begun


def _asked(port: int, content: bytes, clients: int, requests: int) -> list[float]:
    def ask(count: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            connection.request("POST", f"/models/{_NAME}/translate?given=source", content, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            times.append(time.perf_counter() - begun)
        connection.close()
        return times

    shares = [requests // clients + (number < requests % clients) for number in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        return [each for times in pool.map(ask, shares) for each in times]


@contextmanager
def _running(translator: Translator, settings: Settings) -> Iterator[int]:
    listener = Listener("127.0.0.1", 0)
    server = make_server({_NAME: Served(_NAME, translator)}, listener, settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener.socket])))
    thread.start()
    try:
        yield listener.port
    finally:
        server.should_exit = True
        thread.join()


def _row(name: str, times: list[list[float]], spans: list[float], spent: list[float]) -> dict[str, Json]:
    every = sorted(each for own in times for each in own)
    rates = [len(own) / span for own, span in zip(times, spans, strict=True)]
    return {
        "variant": name,
        "requests_per_second": statistics.median(rates),
        "spread": [min(rates), max(rates)],
        "processor_ms": 1000 * statistics.median(spent),
        "p50_ms": 1000 * every[len(every) // 2],
        "p99_ms": 1000 * every[min(len(every) - 1, int(len(every) * 0.99))],
    }
