"""What runs on the nodes: the work, and the ears that hear how far it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import p2pkit
import ray
from p2pkit.untyped import Plain, Untyped


def task(name: str, needed: Mapping[str, float]) -> Untyped:
    """Return `do` as a task.

    A process without GPUs does one task after another, and a model is loaded once. One with GPUs ends with its task:
    the next one might be given others, and CUDA doesn't change them in a process.

    Args:
        name: What Ray's lists call it.
        needed: What it needs, in Ray's names.
    """
    more = {key: amount for key, amount in needed.items() if key not in ("CPU", "GPU", "memory")}
    gpus = needed.get("GPU", 0)
    return ray.remote(max_calls=1 if gpus else 0)(do).options(
        num_cpus=needed.get("CPU", 0),
        num_gpus=gpus,
        memory=needed.get("memory"),
        resources=more,
        name=name,
        max_retries=0,  # p2pkit gives anew what was lost
    )


def do(work: Plain, folder: str, number: int, ears: Untyped) -> Plain:
    """Do a piece of work.

    Args:
        work: The fields of a `p2pkit.Work`.
        folder: The working folder, where this node has it.
        number: What the ears know the work by.
        ears: Hear what the work tells.

    Returns:
        What `p2pkit.do_work` returns.
    """
    if os.path.isdir(folder):
        os.chdir(folder)
    if not ray.get_gpu_ids():  # Ray lets a task that has asked for none see all of them
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    latest: list[Untyped] = []

    def tell(said: Plain) -> None:
        latest[:] = [ears.hear.remote(number, dict(said))]

    came = p2pkit.do_work(p2pkit.Work(**work), tell)
    if latest:  # is heard before the work is known to be done
        ray.wait(latest, timeout=10)
    return came


class Ears:
    """An actor beside whoever has given the work: collects what is told."""

    def __init__(self) -> None:
        self._heard: dict[int, list[Plain]] = {}

    def hear(self, number: int, said: Plain) -> None:
        """Keep what a piece of work says."""
        self._heard.setdefault(number, []).append(said)

    def heard(self, numbers: Sequence[int]) -> list[tuple[int, Plain]]:
        """Return what some pieces have said since this was asked last."""
        return [(number, said) for number in numbers for said in self._heard.pop(number, ())]
