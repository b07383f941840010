"""Processes of Python that need not import: a server that has done so forks, which takes a tenth of a second.

As a program this is the server, which imports and computes nothing; `Process` is `subprocess.Popen` for what it forks.
All else of such a process is real: its number, streams, folder and environment, what signals do to it, and its end.
What reads its environment as it is imported, or is about importing itself, needs a process of its own.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import inspect
import itertools
import json
import os
import pkgutil
import runpy
import selectors
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock

LIBRARIES = (
    "mlflow.pyfunc",
    "mlflow.tracking.context.registry",
    "optuna.storages.journal",
    "torch._dynamo",
    "torch.distributed.run",
    "torchmetrics.image",
)
"""What commands import beside p2pkit's own modules."""

_LARGEST = 1 << 20
_OPTIONS = ("-u", "-P")


class Request(TypedDict):
    """What a process is to be."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    session: bool


class Process(subprocess.Popen):  # type: ignore[type-arg]  # of bytes or text, as the caller says
    """A process that the server forks, where there is one and the command is this Python's; else a new one."""

    server: str | None = None
    """Where the server listens."""

    sessions: bool = True
    """Whether those alone are forked that lead a session of their own, as nobody can join one of others."""

    _told: socket.socket | None = None

    @classmethod
    def run(cls, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run it to its end, and return what it has said."""
        with cls(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
            said = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, *said)

    def _execute_child(self, *given: Any) -> None:
        wanted = inspect.signature(super()._execute_child).bind(*given).arguments  # type: ignore[misc]
        command = [os.fspath(word) for word in wanted["args"]]
        session = bool(wanted["start_new_session"])
        forkable = command[0] == sys.executable and not wanted["pass_fds"] and (session or not self.sessions)
        if self.server is None or not forkable:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        environment = dict(os.environ if wanted["env"] is None else wanted["env"])
        folder = os.fspath(wanted["cwd"] or os.getcwd())
        request = Request(arguments=command[1:], folder=folder, environment=environment, session=session)
        ends = [wanted[end] for end in ("p2cread", "c2pwrite", "errwrite")]
        self._told = connect(self.server)
        streams = [number if end == -1 else end for number, end in enumerate(ends)]
        socket.send_fds(self._told, [json.dumps(request).encode()], streams)
        self.pid = int(self._told.recv(64))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(wanted[pipe] for pipe in pipes))  # type: ignore[attr-defined]

    def _waitpid(self, pid: int, flags: int) -> tuple[int, int]:
        """Do what `os.waitpid` does: of a forked process the server tells how it has ended, as it is the parent."""
        if self._told is None:
            return os.waitpid(pid, flags)
        try:
            status = int(self._told.recv(64, socket.MSG_DONTWAIT if flags & os.WNOHANG else 0))
        except BlockingIOError:
            return 0, 0
        self._told.close()
        return pid, status

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        return self._waitpid(self.pid, wait_flags)

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        polled: int | None = super()._internal_poll(_deadstate, _waitpid=self._waitpid)  # type: ignore[misc]
        return polled


def connect(address: str) -> socket.socket:
    """Return a connection to the server, which lives as long as there is one."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def server(file: Path) -> Iterator[type[Process]]:
    """Have a server, which others may have started already; yields the class of processes that it forks.

    Args:
        file: Its socket.
    """
    address = str(file)
    with FileLock(f"{file}.lock"):
        try:
            connection = connect(address)
        except OSError:
            file.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(address)
                listener.listen()
                os.set_inheritable(listener.fileno(), True)
                command = [sys.executable, __file__, address, str(listener.fileno())]
                os.posix_spawn(sys.executable, command, os.environ, setsid=True)
            connection = connect(address)
    with connection:
        yield type("Forked", (Process,), {"server": address, "sessions": False})


def main(address: str, inherited: str) -> None:
    """Import, serve, and in a process that was forked become what was asked for."""
    leaving = _Leaving()
    subprocess.Popen = Process  # type: ignore[misc]  # before a library has taken the other one for itself
    for name in (*LIBRARIES, *_modules_of_p2pkit()):
        importlib.import_module(name)
    assert threading.active_count() == 1, "what is forked would lack its threads"
    gc.freeze()
    become = _serve(socket.socket(fileno=int(inherited)))
    if become is not None:
        Process.server = address
        with leaving:
            become()


class _Leaving:
    """Ends a process when all else is done, without taking apart what it shares with the server, page by page."""

    def __init__(self) -> None:
        self.status: int | None = 0
        atexit.register(self.leave)  # the first to be registered is the last to be called

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if isinstance(error, SystemExit):
            self.status = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            self.status = None if isinstance(error, KeyboardInterrupt) else 1  # which ends by its signal

    def leave(self) -> None:
        if self.status is not None:
            for stream in (sys.stdout, sys.stderr):
                if not stream.closed:
                    stream.flush()
            os._exit(self.status & 0xFF)


def _modules_of_p2pkit() -> Iterator[str]:
    import p2pkit

    for module in pkgutil.walk_packages(p2pkit.__path__, "p2pkit."):
        if not module.name.endswith("__main__") and ".scaffold.kinds" not in module.name:
            yield module.name


def _serve(listener: socket.socket) -> Callable[[], None] | None:
    """Fork for whoever asks, until nobody is left; return what it is to become in a process that was forked."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, _welcome)
    while True:
        for key, _ in selector.select():
            become: Callable[[], None] | None = key.data(selector, key.fileobj)
            if become is not None:
                return become
        if len(selector.get_map()) == 1:
            return None


def _welcome(selector: selectors.BaseSelector, listener: socket.socket) -> None:
    selector.register(listener.accept()[0], selectors.EVENT_READ, _answer)


def _answer(selector: selectors.BaseSelector, asker: socket.socket) -> Callable[[], None] | None:
    """Fork and say which process that is; later `_ended` says how it has ended."""
    message, streams, *_ = socket.recv_fds(asker, _LARGEST, 3)
    selector.unregister(asker)
    if not message:
        asker.close()
        return None
    pid = os.fork()
    if pid == 0:
        for key in selector.get_map().values():
            os.close(key.fd)
        selector.close()
        asker.close()
        return functools.partial(_become, json.loads(message), streams)
    for stream in streams:
        os.close(stream)
    asker.send(str(pid).encode())
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, functools.partial(_ended, asker, pid))
    return None


def _ended(asker: socket.socket, pid: int, selector: selectors.BaseSelector, descriptor: int) -> None:
    selector.unregister(descriptor)
    os.close(descriptor)
    with asker, suppress(OSError):  # nobody wants to know
        asker.send(str(os.waitpid(pid, 0)[1]).encode())


def _become(request: Request, streams: list[int]) -> None:
    """Be the process that was asked for, until its end."""
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115  as long as it lives
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    options = list(itertools.takewhile(_OPTIONS.__contains__, request["arguments"]))
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    own = "-P" not in options and not os.environ.get("PYTHONSAFEPATH")
    _run(own, *request["arguments"][len(options) :])


def _run(own: bool, first: str, *rest: str) -> None:
    """Do what Python does with these arguments, with the program's own folder before all others, or without it."""
    if own:
        sys.path.insert(0, "" if first in ("-m", "-c") else str(Path(first).parent))
    if first == "-m":
        sys.argv = list(rest)
        try:
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        except ImportError as error:
            if f"No module named {rest[0]}" not in str(error):
                raise
            sys.exit(f"{sys.executable}: {error}")
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    main(*sys.argv[1:])
