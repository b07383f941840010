"""Two nodes of Ray on this machine, one of which is killed in the middle: nothing is lost, and nothing is done twice.

python two_nodes.py sweep                       # six runs
python two_nodes.py translate --images 2000     # and how long one process takes
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import p2pkit
from p2pkit.cli import app
from PIL import Image
from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
CONFIG = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": 1, "l1": 100},
    "schedule": {"epochs": 10},
    "engine": {"batch": 4, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 2, "every": 0},
    "tracking": {"trackers": {"mlflow": False}},
}


def main() -> None:
    """Show one of the two in a new folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sweep", "translate"])
    parser.add_argument("--images", type=int, default=2000)
    asked = parser.parse_args()
    os.chdir(tempfile.mkdtemp(prefix="p2pkit-ray-"))
    model = p2pkit.train(CONFIG).checkpoint
    with two_nodes() as cluster:
        if asked.what == "sweep":
            rows = six_points(cluster)
            print(f"{len(rows)} points, {len({row['label'] for row in rows})} of them different: see {Path.cwd()}")
        else:
            draw(Path("in"), asked.images)
            seconds = {"one process": timed(lambda: command("translate", model, "in", "-o", "one"))}
            seconds["two nodes"] = timed(lambda: command("translate", model, "in", "-o", "two", *on(cluster)))
            seconds["two nodes, one killed"] = timed(lambda: translated(cluster, model, "in", "killed"))
            for name in ("two", "killed"):
                assert same(Path("one"), Path(name)), f"{name} differs from what one process makes"
            for name, each in seconds.items():
                print(f"{name:22} {each:6.1f} s  {asked.images / each:6.1f} images/s, all with their start")


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Context with a cluster, which takes a node for dead after five seconds of silence."""
    head = {**NODE, "include_dashboard": False, "_system_config": {"health_check_period_ms": 1000}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def second_node_killed(cluster: Cluster, once: Callable[[], bool]) -> Iterator[None]:
    """Context in which a node is killed as soon as so much is done."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if once():
                cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def command(*arguments: object) -> None:
    """Run p2pkit in this process as a terminal would."""
    app([*map(str, arguments)], standalone_mode=False)


def on(cluster: Cluster) -> tuple[str, ...]:
    """Return the options that say where work runs."""
    return "--on", "ray", "-s", f"executor.params.address={cluster.address}"


def six_points(cluster: Cluster, epochs: int = 10) -> list[dict[str, str]]:
    """Sweep six weights of L1 by two workers, kill a node when four runs have begun, and return the table."""
    Path("run.yaml").write_text(json.dumps({**CONFIG, "schedule": {"epochs": epochs}}), encoding="utf-8")
    with second_node_killed(cluster, lambda: len([*Path("runs/six").glob("*/checkpoints")]) >= 4):
        command("sweep", "run.yaml", "losses.l1.weight=1,3,10,30,100,300", "--name", "six", *on(cluster))
    with Path("runs/six/table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def draw(folder: Path, count: int) -> None:
    """Write small images of noise."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(dice.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number:05}.png")


def translated(cluster: Cluster, model: Path, source: str, out: str) -> None:
    """Translate a folder on the cluster, and kill a node when a third is done."""
    third = len(os.listdir(source)) // 3
    with second_node_killed(cluster, lambda: os.path.isdir(out) and len(os.listdir(out)) > third):
        command("translate", model, source, "-o", out, *on(cluster))


def same(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same images under the same names."""
    names = [sorted(path.name for path in folder.glob("*.png")) for folder in (one, other)]
    return names[0] == names[1] and all(
        np.array_equal(Image.open(one / name), Image.open(other / name)) for name in names[0]
    )


def timed(call: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
