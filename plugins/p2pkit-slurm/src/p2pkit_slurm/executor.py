"""The executor as a config names it: what a piece of work asks for in the words of submitit, and what Slurm refuses."""

from __future__ import annotations

import math
import shutil
import subprocess
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import p2pkit
from p2pkit.untyped import Json, Plain
from pydantic import Field

from p2pkit_slurm.refusal import refusal

if TYPE_CHECKING:
    from p2pkit_slurm.jobs import Jobs


class Slurm:
    """Jobs of Slurm, by submitit: each piece of work waits in the queue for a node that has what it asks for.

    All nodes have to see the working folder, p2pkit and the same plugins, as they do where homes are shared.
    """

    def __init__(
        self,
        *,
        partition: Annotated[str | None, Field(description="The partition; null for Slurm's own choice.")] = None,
        minutes: Annotated[
            int, Field(ge=3, description="A job's time; 90 seconds before its end it saves what it has and leaves.")
        ] = 240,
        workers: Annotated[
            int | None, Field(ge=1, le=100_000, description="Jobs at a time; null for as many as Slurm starts.")
        ] = None,
        folder: Annotated[str, Field(description="Where jobs leave what they print.")] = "slurm",
        more: Annotated[
            dict[str, Json] | None, Field(description="More of sbatch's options, by their names: account, qos.")
        ] = None,
        cluster: Annotated[
            Literal["slurm", "local"], Field(description="`local` tries it by processes of this machine.")
        ] = "slurm",
    ) -> None:
        self.workers = workers
        self._partition, self._minutes, self._more = partition, minutes, more or {}
        self._folder, self._cluster = Path(folder).absolute(), cluster
        self._closed = False

    def require(self, resources: p2pkit.Resources) -> None:
        """Refuse what Slurm would refuse."""
        self._require_sbatch()
        asked: dict[str, Json] = {"cpus-per-task": math.ceil(resources.cpus), "time": self._minutes, **self._more}
        asked |= {"gpus-per-node": self._gpus(resources.gpus) or None, "partition": self._partition}
        asked |= {"mem": None if resources.memory is None else f"{math.ceil(1024 * resources.memory)}M"}
        options = [f"--{key.replace('_', '-')}={value}" for key, value in asked.items() if value is not None]
        if self._cluster == "slurm":
            tried = ["sbatch", "--test-only", *options, "--wrap=true"]
            found = subprocess.run(tried, capture_output=True, text=True, check=False)
            if found.returncode:
                raise p2pkit.P2pkitError(refusal(found.stderr))

    def submit(self, work: p2pkit.Work, resources: p2pkit.Resources, tell: p2pkit.Tell) -> Future[Plain]:
        """Queue a job."""
        options = {"name": "p2pkit", "timeout_min": self._minutes, "mem_gb": resources.memory}
        options |= {"cpus_per_task": math.ceil(resources.cpus), "gpus_per_node": self._gpus(resources.gpus)}
        own = {"slurm_partition": self._partition, "slurm_additional_parameters": self._more}
        return self._jobs.submit(work, {**options, **own}, tell)

    def close(self) -> None:
        """Cancel the jobs, and wait for them."""
        self._closed = True
        if "_jobs" in self.__dict__:
            self._jobs.close()

    @cached_property
    def _jobs(self) -> Jobs:
        if self._closed:
            raise RuntimeError("the executor is closed")
        self._require_sbatch()
        from p2pkit_slurm.jobs import Jobs

        return Jobs(self._folder, self._cluster)

    def _require_sbatch(self) -> None:
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            remedy = "run this where jobs are submitted, or try it by -s executor.params.cluster=local"
            raise p2pkit.P2pkitError(p2pkit.Problem("executor.use", "there is no sbatch on this machine", remedy))

    def _gpus(self, asked: float | None) -> int:
        """Return how many GPUs a job asks for; one where that is open and nodes have some."""
        gpus = float(self._nodes_have_gpus) if asked is None else asked
        if gpus != int(gpus):
            cause = f"asks for {gpus:g}, and Slurm gives whole ones to a job"
            raise p2pkit.DeviceError(p2pkit.Problem("executor.gpus", cause, "ask for 1, or for none: 0"))
        return int(gpus)

    @cached_property
    def _nodes_have_gpus(self) -> bool:
        if self._cluster == "local":
            import torch

            return torch.cuda.is_available()
        where = [f"--partition={self._partition}"] if self._partition else []
        asked = ["sinfo", "--noheader", "--format=%G", *where]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        return any(line.startswith("gpu:") for line in told.replace(",", "\n").splitlines())
