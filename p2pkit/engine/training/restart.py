"""A command that is started anew, by torchrun or a scheduler, goes on with the run that it had begun."""

from __future__ import annotations

from pathlib import Path

from p2pkit.config.tracking import TrackingConfig
from p2pkit.engine.distributed.collectives import check_equal_across_ranks, on_main_rank, raise_on_all_ranks
from p2pkit.engine.distributed.world import restarts, world
from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.layout import CHECKPOINTS, abandon_later, checkpoints
from p2pkit.engine.storage.mirror import fetch
from p2pkit.errors import ConfigError, ModelError, P2pkitError, Problem

RUNS = Path("runs")
_GO_ON = "go on with the run that was begun: p2pkit train CONFIG --go-on -s tracking.name=NAME"


def refuse_to_begin_anew() -> None:
    """Make sure that torchrun does not begin a new run after each failure of the one before.

    Raises:
        P2pkitError: It has started this process for the second time.
    """
    if restarts():
        cause = "torchrun has started all processes again (--max-restarts), and a new run would begin at step 0"
        raise P2pkitError(Problem("", cause, _GO_ON))


def named_folder(tracking: TrackingConfig) -> Path:
    """Return the folder of the one run that a config names.

    Raises:
        ConfigError: It names none.
    """
    if tracking.name is None:
        raise ConfigError(Problem("tracking.name", "is what a run is found by that is to go on", _GO_ON))
    return tracking.folder / tracking.name


def latest_checkpoint(folder: Path, address: str | None) -> Path | None:
    """Return the checkpoint that a run goes on from, the same in all processes; None where it has none yet.

    Args:
        folder: The run's folder.
        address: The folder of runs to which its checkpoints are sent, which a new machine gets them from.

    Raises:
        ModelError: There are checkpoints, and none of them is sound.
        StorageError: The address can't be read.
    """
    if address is not None:
        on_main_rank(lambda: fetch(address, folder))
        # Where no disk is shared, each machine has a copy of its own.
        raise_on_all_ranks(lambda: fetch(address, folder) if _first_here() else None)
    if not on_main_rank(lambda: bool(checkpoints(folder / CHECKPOINTS))):
        return None
    found = raise_on_all_ranks(lambda: find_checkpoint(folder, training=True))
    remedy = "put tracking.folder on a disk that all machines share, or set checkpoint.mirror"
    check_equal_across_ranks("the latest checkpoints", found.name, remedy)
    return found


def fetched(run: str) -> Path | None:
    """Bring a run from the address that its checkpoints were sent to, into the folder of runs.

    Args:
        run: `ADDRESS/NAME`; a name without an address is none of ours.

    Returns:
        The checkpoint that it goes on from; None where this is no address.

    Raises:
        ModelError: There is no run.
    """
    if "://" not in run:
        return None
    address, _, name = run.rstrip("/").rpartition("/")
    found = latest_checkpoint(RUNS / name, address)
    if found is None:
        cause = f"{address} has no checkpoint of a run {name!r}"
        raise ModelError(Problem("", cause, "name it as checkpoint.mirror, a slash, and the run's name"))
    return found


def _first_here() -> bool:
    here = world()
    return not here.main and here.local_rank == 0


def take_folder(folder: Path) -> None:
    """Make a run's folder, or clear the one of an attempt that has left no checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    abandon_later(folder, -1)
