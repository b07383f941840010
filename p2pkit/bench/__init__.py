"""How fast a recipe trains on this machine, beside the textbook step and the machine's own ceiling."""

from p2pkit.bench.loader import bench_loader
from p2pkit.bench.training import bench

__all__ = ["bench", "bench_loader"]
