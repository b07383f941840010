"""How fast this machine trains, saves, reads, translates and serves, beside the plain way and its own ceiling."""

from p2pkit.bench.checkpoints import bench_checkpoint
from p2pkit.bench.loader import bench_loader
from p2pkit.bench.serving import bench_serve
from p2pkit.bench.shards import bench_shards
from p2pkit.bench.training import bench
from p2pkit.bench.translating import bench_translate

__all__ = ["bench", "bench_checkpoint", "bench_loader", "bench_serve", "bench_shards", "bench_translate"]
