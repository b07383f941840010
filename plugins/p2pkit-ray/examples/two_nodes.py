"""Two nodes of Ray on this machine, one of which is killed in the middle: nothing is lost, and nothing is done twice.

python two_nodes.py sweep
python two_nodes.py translate --images 2000
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pkit.sweep import Sweep, sweep
from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
CONFIG = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": 1, "l1": 100},
    "engine": {"batch": 4, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 2, "every": 0},
    "checkpoint": {"every": 1},
    "tracking": {"trackers": {"mlflow": False}},
    "executor": {"use": "ray"},
}
Kill = Callable[[], None]


@contextmanager
def two_nodes() -> Iterator[tuple[str, Kill]]:
    """Context with a cluster: its address, and what kills its second node."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    try:
        yield cluster.address, lambda: cluster.remove_node(second, allow_graceful=False)
    finally:
        cluster.shutdown()


@contextmanager
def killed_once(reached: Callable[[], bool], kill: Kill) -> Iterator[None]:
    """Context in which a node is killed as soon as so much is done."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if reached():
                kill()
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def six_points(address: str, kill: Kill, folder: Path, epochs: int = 20) -> Sweep:
    """Sweep six weights of L1 by two workers, and lose one when four runs have begun."""
    runs = folder / "runs"
    config = {**CONFIG, "schedule": {"epochs": epochs}}
    own = {"executor.params.address": address, "tracking.folder": str(runs)}
    with killed_once(lambda: len(list(runs.glob("six/*/checkpoints"))) >= 4, kill):
        return sweep(config, {"losses.l1.weight": [1, 3, 10, 30, 100, 300]}, name="six", progress=True, **own)
