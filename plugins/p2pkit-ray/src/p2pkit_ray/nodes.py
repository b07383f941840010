"""What the nodes of a cluster have, and whether that is enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import p2pkit
import ray

_GIB = 2**30
_UNITS = {"CPU": "cores", "GPU": "GPUs", "memory": "GiB of memory"}
_KEYS = {"CPU": "executor.cpus", "GPU": "executor.gpus", "memory": "executor.memory"}

Amounts = Mapping[str, float]


class Nodes(NamedTuple):
    """The nodes that are alive.

    Args:
        each: The address of each, and what it has.
    """

    each: tuple[tuple[str, Amounts], ...]

    @classmethod
    def alive(cls) -> Nodes:
        """Ask the cluster."""
        return cls(tuple((node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]))

    @property
    def slots(self) -> int:
        """A piece of work for each GPU, or where there are none for each core."""
        return int(self._sum("GPU") or self._sum("CPU")) or 1

    def demands(self, resources: p2pkit.Resources, more: Amounts) -> dict[str, float]:
        """Return what a piece of work needs, in Ray's names; one GPU where that is open, and there are any.

        Args:
            resources: What p2pkit asks for.
            more: What is asked for beside, by names of the user's own.

        Raises:
            DeviceError: No node has all of that.
        """
        gpus = float(self._sum("GPU") > 0) if resources.gpus is None else resources.gpus
        asked = {"CPU": resources.cpus, "GPU": gpus, "memory": (resources.memory or 0) * _GIB, **more}
        needed = {name: amount for name, amount in asked.items() if amount}
        if not any(_holds(node, needed) for _, node in self.each):
            raise p2pkit.DeviceError(self._lacking(needed))
        return needed

    def _sum(self, name: str) -> float:
        return sum(node.get(name, 0) for _, node in self.each)

    def _lacking(self, needed: Amounts) -> p2pkit.Problem:
        """Say what is asked for and what there is, at the key of what no node has enough of, where that is one."""
        scarce = [name for name in needed if not any(_holds(node, {name: needed[name]}) for _, node in self.each)]
        path = _KEYS.get(scarce[0], f"executor.params.resources.{scarce[0]}") if len(scarce) == 1 else "executor"
        names = dict.fromkeys((*_KEYS, *needed))
        have = "; ".join(f"{address} has {_told(node, names)}" for address, node in self.each) or "there are no nodes"
        cause = f"a piece of work asks for {_told(needed, needed)}, and no node of the cluster has that: {have}"
        return p2pkit.Problem(path, cause, "ask for less, or add a node that has it")


def _holds(node: Amounts, needed: Amounts) -> bool:
    return all(node.get(name, 0) >= amount for name, amount in needed.items())


def _told(amounts: Amounts, names: Iterable[str]) -> str:
    inside = {name: amounts.get(name, 0) / (_GIB if name == "memory" else 1) for name in names}
    return ", ".join(f"{amount:.4g} {_UNITS.get(name, name)}" for name, amount in inside.items())
