"""This process connected with a cluster, or a sentence that says why not."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress

import p2pkit
import ray

_PATIENCE = 10.0  # seconds in which a machine has to answer; Ray itself tries for a quarter of an hour


def connect(address: str | None) -> bool:
    """Connect this process with a cluster, unless it is connected; start one on this machine where none is named.

    Args:
        address: `host:port`, `ray://host:port`, `auto` for the one that this machine belongs to, or `local` for a new
            one; None for what `RAY_ADDRESS` says, or else `local`.

    Returns:
        Whether it was not connected before.

    Raises:
        P2pkitError: No cluster answers there, or one of another version.
    """
    if ray.is_initialized():
        return False  # whoever has done it has chosen the cluster
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else a cluster that starts here tells Ray's makers of it
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    if not _answers(where):
        raise _problem(f"no Ray cluster answers at {where}")
    main, before = threading.current_thread() is threading.main_thread(), signal.getsignal(signal.SIGTERM)
    try:
        own = {"include_dashboard": False} if where == "local" else {}
        ray.init(where, log_to_driver=False, logging_level="error", **own)
    except Exception as error:
        said = next(filter(None, str(error).strip().splitlines()), type(error).__name__)
        raise _problem(f"the Ray cluster at {where} can't be used: {said}") from error
    finally:
        if main:  # Ray has put its own in its place
            signal.signal(signal.SIGTERM, before)
    return True


def _problem(cause: str) -> p2pkit.P2pkitError:
    remedy = "start one by `ray start --head` and name its host and port, or leave the address out for this machine"
    return p2pkit.P2pkitError(p2pkit.Problem("executor.params.address", cause, remedy))


def _answers(where: str) -> bool:
    """Tell whether a machine answers at an address as Ray's heads do; of addresses without a port, Ray knows."""
    host, _, port = where.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        return "://" in where or where in ("local", "auto")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as answering:
        return (
            bool(os.environ.get("RAY_USE_TLS")) or answering.recv(4)[3:] == b"\x04"
        )  # HTTP/2 begins with its settings
    return False
