"""What a server does not do: read without end, answer one client alone, or be used by other pages."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable
from contextlib import suppress
from http import HTTPStatus
from typing import TypeVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2pkit.errors import Problem
from p2pkit.serving.problems import Refused, answer
from p2pkit.serving.settings import HEADERS, Settings

T = TypeVar("T")
_CLIENTS = 10_000
_PORT = re.compile(r":\d*$")


class Limits:
    """Let few requests in at a time, and few of each client; and send what protects the page with each answer.

    Args:
        app: What answers.
        settings: What is allowed.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.in_flight = 0
        self._left: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await answer(refusal.status, refusal.problem, refusal.headers)(scope, receive, guarded)
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, guarded)
        finally:
            self.in_flight -= 1

    def _refusal(self, scope: Scope) -> Refused | None:
        client = scope["client"][0] if scope.get("client") else ""
        host = Headers(scope=scope).get("host", "")
        if self.settings.hosts and _PORT.sub("", host).lower() not in self.settings.hosts:
            cause = f"{host!r} is no name of this server, which other sites' pages could else reach by a name of theirs"
            return Refused(HTTPStatus.BAD_REQUEST, Problem("header.host", cause, f"ask {self.settings.hosts[0]}"))
        too_many, later = HTTPStatus.TOO_MANY_REQUESTS, {"retry-after": "1"}
        if self.in_flight >= self.settings.in_flight:
            return Refused(too_many, Problem("", "too many requests wait already", "try again in a second"), later)
        if scope["method"] == "POST" and not self._allows(client):
            cause = f"more than {self.settings.rate:g} requests in a second"
            return Refused(too_many, Problem("", cause, "ask less often, or start the server with --rate"), later)
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self.settings.max_bytes:
            return too_large(self.settings)
        return None

    def _allows(self, client: str) -> bool:
        """Take one of a client's tokens, which come back by the rate, up to a second's."""
        rate = self.settings.rate
        if not rate:
            return True
        now = time.monotonic()
        tokens, then = self._left.get(client, (max(rate, 1.0), now))
        tokens = min(max(rate, 1.0), tokens + (now - then) * rate)
        if len(self._left) >= _CLIENTS:
            self._left.clear()
        self._left[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


def too_large(settings: Settings) -> Refused:
    """Return the refusal of a body that is too large."""
    cause = f"is of more than the {settings.max_bytes} bytes that --max-bytes allows"
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Problem("body", cause, "send a smaller file"))


async def read_body(request: Request, settings: Settings) -> bytes:
    """Read the body of a request, as far and as long as is allowed.

    Raises:
        Refused: It is too large, too slow, or the client has gone.
    """
    content = bytearray()
    try:
        async with asyncio.timeout(settings.patience):
            async for piece in request.stream():
                content += piece
                if len(content) > settings.max_bytes:
                    raise too_large(settings)
    except TimeoutError:
        problem = Problem("body", f"has not come within {settings.patience:g} seconds", "send it at once")
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, problem) from None
    except ClientDisconnect:
        raise _gone() from None
    return bytes(content)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work as long as the client does; `request` has been read.

    Raises:
        Refused: The client has gone.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _gone()
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, Problem("", "the client has gone"))
