"""Where a step's time goes; measured apart from its rate, since looking costs time itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from p2pkit.bench.synthetic_run import forever, loader
from p2pkit.engine.build.assembly import Assembly
from p2pkit.engine.device.timing import timed

ROUNDS = 5


def parts(assembly: Assembly) -> dict[str, float]:
    """Split the time of a step that is not captured, in seconds.

    Args:
        assembly: The run; it is trained a little further.

    Returns:
        `data_wait`, `host_to_device`, `forward` (the fakes), `discriminator_update` and `generator_update` (losses,
        verdicts and gradients), `optimiser`, and the `rest`.
    """
    clock = _Clock(assembly.place.device)
    batches, step = loader(assembly), assembly.step
    clock.wrap(batches, "_moved", "host_to_device")
    clock.wrap(step, "_generate", "forward")
    clock.wrap(step, "_update", "optimiser")
    clock.wrap(step, "_turn", lambda player, *_: f"{player}_update")
    source = forever(batches)
    for number in range(ROUNDS):
        group = [clock.time("data_wait", functools.partial(next, source)) for _ in range(assembly.engine.accumulate)]
        clock.time("step", functools.partial(step, [(each.source, each.target) for each in group], number))
    clock.unwrap()
    spent = {name: value / ROUNDS for name, value in clock.spent.items()}
    whole = spent.pop("step")
    names = ("data_wait", "host_to_device", "forward", "discriminator_update", "generator_update", "optimiser")
    known = {name: spent.get(name, 0.0) for name in names}
    return {**known, "rest": max(0.0, whole - sum(value for name, value in known.items() if name not in names[:2]))}


class _Clock:
    """Takes the time of named pieces of work; what one piece does within another counts for the inner one only."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent: dict[str, float] = {}
        self._inner = [0.0]
        self._wrapped: list[tuple[Any, str]] = []

    def time(self, name: str, act: Callable[[], Any]) -> Any:
        """Do some work, and add its seconds to what the name has."""
        result: list[Any] = []
        self._inner.append(0.0)
        seconds = timed(lambda: result.append(act()), self.device)
        inner = self._inner.pop()
        self._inner[-1] += seconds
        self.spent[name] = self.spent.get(name, 0.0) + seconds - (inner if name != "step" else 0.0)
        return result[0]

    def wrap(self, owner: Any, method: str, name: str | Callable[..., str]) -> None:
        """Take the time of every call of a method; its name may depend on the arguments."""
        original = getattr(owner, method)

        def clocked(*arguments: Any) -> Any:
            called = name if isinstance(name, str) else name(*arguments)
            return self.time(called, lambda: original(*arguments))

        setattr(owner, method, clocked)
        self._wrapped.append((owner, method))

    def unwrap(self) -> None:
        """Leave the methods as they were."""
        for owner, method in self._wrapped:
            delattr(owner, method)
