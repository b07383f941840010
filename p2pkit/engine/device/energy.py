"""Energy that computing takes, by the counters of GPUs (NVML) and of processors (RAPL), where they can be read."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from p2pkit.engine.distributed.collectives import all_gather, all_reduce_mean
from p2pkit.engine.distributed.world import world
from p2pkit.errors import first_line

POWERCAP = Path("/sys/class/powercap")
_BETWEEN_LOOKS = 60.0


@dataclass(frozen=True)
class Counter:
    """A counter of energy.

    Args:
        name: What it counts: the same for every process that sees it, and no other's.
        read: Returns its joules.
        span: How many it counts before it begins anew.
    """

    name: str
    read: Callable[[], float]
    span: float = math.inf


def find_counters(device: torch.device) -> list[Counter]:
    """Return the counters of what computes: of a GPU its own; else those of all processors and their memory.

    Args:
        device: Where networks compute.

    Raises:
        OSError: There are none, or they can't be read; says why.
    """
    if device.type not in ("cpu", "cuda"):
        raise OSError(f"nothing counts the energy of {device.type}")
    found = [_gpu(device)] if device.type == "cuda" else list(_processors())
    if not found:
        raise OSError(f"{POWERCAP} has no counters of processors")
    for each in found:
        each.read()
    return found


def _gpu(device: torch.device) -> Counter:
    import pynvml

    name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"

    def read() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(name))) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(f"NVML does not tell: {first_line(error)}") from error

    with suppress(pynvml.NVMLError):  # reading says why
        pynvml.nvmlInit()
    return Counter(name, read)


def _processors() -> Iterator[Counter]:
    """Yield packages and memory; cores are part of their package, and a platform's counter has all of it once more."""
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):
        kind = (zone / "name").read_text(encoding="utf-8").strip()
        if kind.startswith("package") or kind == "dram":
            yield _zone(zone)


def _zone(zone: Path) -> Counter:
    def joules(file: str) -> float:
        return int((zone / file).read_text(encoding="utf-8")) / 1e6

    return Counter(f"{socket.gethostname()} {zone.name}", lambda: joules("energy_uj"), joules("max_energy_range_uj"))


class EnergyMeter:
    """Joules since the last reading, of all processes together.

    Args:
        counters: Those that this process reads.
    """

    def __init__(self, counters: Sequence[Counter]) -> None:
        self.counters = counters
        self._joules = 0.0
        self._seen = [counter.read() for counter in counters]
        self._looked = time.monotonic()

    def watch(self) -> None:
        """Look now and then, so that no counter begins anew twice between two looks."""
        if time.monotonic() - self._looked > _BETWEEN_LOOKS:
            self.take()

    def take(self) -> None:
        """Count what was used until now."""
        self._joules += self._used()

    def leave_out(self) -> None:
        """Do not count what was used since the last look."""
        self._used()

    def read(self) -> float:
        """Return what all processes have used, and begin anew; no number where a counter can no longer be read."""
        self.take()
        joules, self._joules = self._joules, 0.0
        return all_reduce_mean(torch.tensor(joules, dtype=torch.float64)).item() * world().count

    def _used(self) -> float:
        try:
            now = [counter.read() for counter in self.counters]
        except (OSError, ValueError):
            now = [math.nan for _ in self.counters]
        before, self._seen, self._looked = self._seen, now, time.monotonic()
        steps = [new - old for new, old in zip(now, before, strict=True)]
        return sum(step if step >= 0 else step + each.span for step, each in zip(steps, self.counters, strict=True))


def open_energy_meter(device: torch.device, note: Callable[[str], None]) -> EnergyMeter | None:
    """Return what measures the energy of a run; a counter that several processes see is read by the first of them.

    Args:
        device: Where this process computes.
        note: Hears why there is none.

    Returns:
        The meter; None in all processes where that of one can't be measured.
    """
    found, why = list[Counter](), ""
    try:
        found = find_counters(device)
    except (OSError, ValueError, ImportError) as error:
        why = first_line(error)
    theirs = all_gather(([counter.name for counter in found], why))
    whys = [why for names, why in theirs if not names]
    if whys:
        note(f"the energy that is used can't be measured: {whys[0]}")
        return None
    taken = {name for names, _ in theirs[: world().rank] for name in names}
    return EnergyMeter([counter for counter in found if counter.name not in taken])
