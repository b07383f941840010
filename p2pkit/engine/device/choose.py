"""Which device a run uses, and what this machine can't do of what is asked."""

from __future__ import annotations

import platform

import torch

from p2pkit.config import RunConfig
from p2pkit.engine.distributed.world import world
from p2pkit.errors import Problem


def choose_device(wanted: str) -> torch.device:
    """Return the device that a config's `engine.device` means to this process; each of several has a GPU of its own."""
    here = world()
    if wanted == "auto" and torch.cuda.is_available():
        wanted = "cuda"
    if wanted == "auto":
        wanted = "mps" if torch.backends.mps.is_available() and not here.several else "cpu"
    return torch.device(wanted, here.local_rank) if wanted == "cuda" and here.several else torch.device(wanted)


def device_name(device: torch.device) -> str:
    """Return what people call the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"


def device_problems(config: RunConfig, *, training: bool) -> list[Problem]:
    """List what this machine can't do of what a config asks."""
    wanted = config.engine.device
    problems = []
    if wanted.startswith("cuda"):
        count = torch.cuda.device_count()
        if int(wanted.partition(":")[2] or 0) >= count:
            cause = f"there is no {wanted} here: torch {torch.__version__} sees {count} CUDA devices"
            problems.append(Problem("engine.device", cause, "write auto or cpu, or install a driver that fits torch"))
    if wanted == "mps" and not torch.backends.mps.is_available():
        problems.append(Problem("engine.device", "there is no mps device here", "write auto or cpu"))
    problems += _problems_among_several(wanted)
    device = wanted if wanted != "auto" else choose_device(wanted).type
    if training and config.engine.sync_batch_norm and device == "cpu" and world().several:
        cause = "torch exchanges the statistics of batch norm between GPUs only, and these processes compute on a CPU"
        problems.append(Problem("engine.sync_batch_norm", cause, "set it to false, or use GPUs"))
    if config.engine.precision == "fp16" and device == "cpu":
        problems.append(Problem("engine.precision", "fp16 is of no use on a CPU", "write auto, fp32 or bf16"))
    return problems


def _problems_among_several(wanted: str) -> list[Problem]:
    here = world()
    if not here.several:
        return []
    path, count = "engine.device", torch.cuda.device_count()
    if wanted == "mps" or wanted.startswith("cuda:"):
        return [Problem(path, f"{wanted} can't serve {here.count} processes", "write auto, cuda or cpu")]
    if choose_device(wanted).type == "cuda" and 0 < count <= here.local_rank:
        cause = f"{here.local_count} processes on this machine need a GPU each, and torch sees {count}"
        return [Problem(path, cause, f"start torchrun with --nproc-per-node {count}, or write cpu")]
    return []
