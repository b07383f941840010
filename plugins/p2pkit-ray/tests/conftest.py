"""A cluster of two nodes on this machine, for all tests."""

from __future__ import annotations

import os

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import ray
from ray.cluster_utils import Cluster

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="session", autouse=True)
def cluster():
    made = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    made.add_node(**SMALL, resources={"spot": 1})
    ray.init(made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()
