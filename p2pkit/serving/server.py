"""A server on a port, until it is interrupted."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import uvicorn

from p2pkit.errors import P2pkitError, Problem
from p2pkit.serving.app import make_app
from p2pkit.serving.models import Served
from p2pkit.serving.settings import Settings

_GRACE = 3
"""Seconds in which requests that are being answered are, when the server ends."""


class Listener:
    """A port that is taken before models are loaded, which takes longer.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one.

    Raises:
        P2pkitError: It can't be listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self.socket = socket.create_server((host, port), family=family)
            # asyncio does so for its own sockets alone, and connections inherit it.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            remedy = "choose another by --port, or --port 0 for any free one"
            raise P2pkitError(Problem("--port", f"{host}:{port} can't be used: {error.strerror}", remedy)) from None
        self.host, self.port = host, int(self.socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Return what a browser opens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def make_server(
    models: Mapping[str, Served],
    listener: Listener,
    settings: Settings | None = None,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> uvicorn.Server:
    """Make a server, which `run(sockets=[listener.socket])` starts and `should_exit` ends.

    Args:
        models: The models by name.
        listener: The port.
        settings: What is allowed; names of the host are checked on loopback, where other sites' pages could else
            reach it by a name of theirs.
        note: Hears of errors that nobody foresaw.
    """
    settings = settings or Settings()
    if not listener.loopback:
        settings = replace(settings, hosts=())
    config = uvicorn.Config(
        make_app(models, settings, note=note),
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=30,
    )
    return uvicorn.Server(config)


def serve(
    models: Mapping[str, Served],
    listener: Listener,
    settings: Settings | None = None,
    *,
    report: Callable[[str], None] = print,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Answer requests until interrupted.

    Args:
        models: The models by name.
        listener: The port.
        settings: What is allowed.
        report: Called with the address.
        note: Called with what there is, what is to be known, and how it is ended.
    """
    server = make_server(models, listener, settings, note=note)
    note(f"models: {', '.join(models)}")
    if not listener.loopback:
        note("whoever reaches this address can use the models: no password is asked for, and nothing is encrypted")
    report(listener.address)
    note("draw on the page, or see /docs; it runs until you press Ctrl-C")
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener.socket])
