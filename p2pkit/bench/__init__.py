"""How fast this machine trains, reads and translates, beside the plain way and its own ceiling."""

from p2pkit.bench.loader import bench_loader
from p2pkit.bench.shards import bench_shards
from p2pkit.bench.training import bench
from p2pkit.bench.translating import bench_translate

__all__ = ["bench", "bench_loader", "bench_shards", "bench_translate"]
