"""The executor as a config names it; Ray is imported when the first work is given."""

from __future__ import annotations

import os
from concurrent.futures import Future
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import p2pkit
from p2pkit.untyped import Plain
from pydantic import Field

if TYPE_CHECKING:
    from p2pkit_ray.cluster import Cluster


class Ray:
    """A Ray cluster, or all of this machine: Ray finds each piece of work a node that has what it asks for.

    Nodes need the same p2pkit as the one that asks, and the same plugins.
    """

    def __init__(
        self,
        *,
        address: Annotated[
            str | None,
            Field(description="`host:port` of the cluster's head; null for `RAY_ADDRESS`, or else this machine alone."),
        ] = None,
        workers: Annotated[
            int | None, Field(ge=1, le=100_000, description="Pieces at a time; null for one a GPU, or else a core.")
        ] = None,
        resources: Annotated[
            dict[str, float] | None, Field(description="What else a piece needs, by names that nodes were given.")
        ] = None,
        folder: Annotated[
            str | None, Field(description="Working folder on the nodes; null for the one here, where they have it.")
        ] = None,
    ) -> None:
        self._address, self._workers = address, workers
        self._resources, self._folder = resources or {}, folder or os.getcwd()
        self._closed = False

    @property
    def workers(self) -> int:
        """How many pieces it does at a time."""
        return self._workers or self._cluster.slots

    def require(self, resources: p2pkit.Resources) -> None:
        """Refuse what no node of the cluster has."""
        self._cluster.demands(resources, self._resources)

    def submit(self, work: p2pkit.Work, resources: p2pkit.Resources, tell: p2pkit.Tell) -> Future[Plain]:
        """Give the work to Ray."""
        return self._cluster.submit(work, self._cluster.demands(resources, self._resources), self._folder, tell)

    def close(self) -> None:
        """End what still runs, wait for it, and let go of the cluster."""
        self._closed = True
        if "_cluster" in self.__dict__:
            self._cluster.close()

    @cached_property
    def _cluster(self) -> Cluster:
        if self._closed:
            raise RuntimeError("the executor is closed")
        from p2pkit_ray.cluster import Cluster

        return Cluster(self._address)
