"""Work that can be done anywhere: a call by its name, what it needs, and what is told while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from p2pkit.untyped import Plain


class Tell(Protocol):
    """What work calls to say how far it is."""

    def __call__(self, said: Plain, /) -> None:
        """Hear plain data."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work: a call by name, with plain data.

    Args:
        call: The function, as `module:function`, which is called as `function(tell, **arguments)`.
        arguments: What JSON can hold.
        name: What people call the piece.
        version: The p2pkit that it is for.
    """

    call: str
    arguments: Plain = field(default_factory=dict)
    name: str = ""
    version: str = field(default_factory=lambda: version("p2pkit"))


@dataclass(frozen=True, slots=True)
class Resources:
    """What a piece of work needs while it runs.

    Args:
        cpus: Processor cores.
        gpus: GPUs, or a share of one; None for one where there are any.
        memory: Main memory in GiB; None where nothing is known of it.
    """

    cpus: float = 1.0
    gpus: float | None = None
    memory: float | None = None
