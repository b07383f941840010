"""Where networks can compute here: driver, CUDA, each device with its bf16, MPS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

from p2pkit.doctor.finding import Finding
from p2pkit.errors import first_line

if TYPE_CHECKING:
    import torch

_PART = "devices"


def look() -> Iterator[Finding]:
    """Look at the driver and at every device that torch sees; each one computes a sum."""
    try:
        import torch
    except Exception:  # packages.look() has said so
        return
    cards = _driver()
    if cards:
        yield Finding(_PART, "driver", "fine", "; ".join(cards))
    built = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}" if torch.version.cuda else ""
    if torch.cuda.is_available():
        yield Finding(_PART, "cuda", "fine", built)
        for index in range(torch.cuda.device_count()):
            yield _computes(torch.device("cuda", index))
    elif cards:
        remedy = "update the driver" if built else "install a torch with CUDA: https://pytorch.org/get-started/locally"
        cause = f"{built or f'torch {torch.__version__} is built without CUDA'} and sees no device, the driver does"
        yield Finding(_PART, "cuda", "broken", cause, remedy)
    if torch.backends.mps.is_available():
        yield _computes(torch.device("mps"))
    if not torch.cuda.is_available():
        yield Finding(_PART, "cpu", "fine", f"{torch.get_num_threads()} threads; there is no CUDA device")
    yield _energy(torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu"))


def _energy(device: torch.device) -> Finding:
    """Look whether runs can tell what energy they take."""
    from p2pkit.engine.device.energy import POWERCAP, find_counters

    try:
        found = find_counters(device)
    except PermissionError as error:
        remedy = f"to have speed/joules_per_image, as root: chmod a+r {POWERCAP}/intel-rapl:*/energy_uj"
        return Finding(_PART, "energy", "note", f"is not measured: {first_line(error)}", remedy)
    except Exception as error:  # a driver that is no longer fit raises many things
        return Finding(_PART, "energy", "fine", f"is not measured: {first_line(error)}")
    return Finding(_PART, "energy", "fine", f"is measured by {', '.join(each.name for each in found)}")


def _driver() -> list[str]:
    """Ask NVIDIA's tool for cards and driver; nothing where there is no tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [", driver ".join(line.split(", ", 1)) for line in asked.stdout.splitlines() if line]


def _computes(device: torch.device) -> Finding:
    import torch

    try:
        total = torch.ones(8, device=device, dtype=torch.bfloat16).sum().item()
    except Exception as error:  # a driver and a build that don't fit raise many things
        cause = f"can't compute: {first_line(error, typed=True)}"
        return Finding(_PART, str(device), "broken", cause, "install a torch that supports this device")
    if total != 8:
        return Finding(_PART, str(device), "broken", f"computes wrongly: 8 ones are {total}", "look at the hardware")
    if device.type != "cuda":
        return Finding(_PART, str(device), "fine", "computes")
    return _card(device)


def _card(device: torch.device) -> Finding:
    import torch

    from p2pkit.engine.device.choose import emulates_bf16

    about = torch.cuda.get_device_properties(device)
    fact = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, compute capability {about.major}.{about.minor}"
    if emulates_bf16(device):
        return Finding(_PART, str(device), "note", f"{fact}, bf16 is emulated", "set engine.precision to fp16 or fp32")
    return Finding(_PART, str(device), "fine", f"{fact}, bf16")
