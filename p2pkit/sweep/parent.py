"""The sweep itself as a run, which trackers hear of as they do of its children."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from p2pkit.config.flat import common_keys
from p2pkit.engine.training.run_record import counts_of, dataset_facts, versions
from p2pkit.mlflow_store import SWEEP_TAG
from p2pkit.plugins.events import Events
from p2pkit.registry import Registry
from p2pkit.sweep.plan import Planned
from p2pkit.sweep.result import Sweep
from p2pkit.types import Run


class Parent:
    """Tells plugins of a sweep.

    Args:
        folder: The sweep's folder.
        planned: What is to be run.
        registry: The names in force.
        note: Called with a sentence for the user.
        resumed: Whether the sweep began earlier, or elsewhere.
    """

    def __init__(
        self, folder: Path, planned: Planned, registry: Registry, note: Callable[[str], None], *, resumed: bool
    ) -> None:
        config = common_keys([checked.plan.resolved() for checked in planned.checked.values()])
        tracking = config["tracking"]
        run = Run(
            name=folder.name,
            kind="sweep",
            folder=folder,
            config={
                **config,
                "tracking": {**tracking, "tags": {**tracking["tags"], SWEEP_TAG: folder.name}},
                "sweep": planned.wanted.model_dump(mode="json", exclude_none=True, exclude={"published", "storage"}),
            },
            dataset=dataset_facts(planned.first, counts_of(planned.first)),
            versions={**versions(), **registry.plugins.versions()},
            facts={"runs": sum(map(len, planned.units)) or len(planned.units) * planned.wanted.seeds},
            resumed=resumed,
        )
        self._events = Events(registry.plugins, run, note, trackers=planned.first.plan.makers)

    def begin(self) -> None:
        """The sweep begins, or goes on."""
        self._events.started()

    def progress(self, swept: Sweep) -> None:
        """Another run is done: the scores of the best point so far, over the number of finished runs."""
        states = Counter(child.state for child in swept.children)
        best = {key: value for key, value in (swept.best or {}).items() if key not in ("label", "runs")}
        scores = {f"best/{key}": float(value) for key, value in best.items()}
        told = {f"runs/{state}": float(states[state]) for state in ("failed", "pruned") if state in ("failed", *states)}
        self._events.scalars(states["finished"] + states["pruned"], {**told, **scores})

    def summarise(self, swept: Sweep, files: Sequence[Path]) -> None:
        """Hand over what there is to see, and the best point once it is settled."""
        best = swept.best if swept.complete else None
        settings = swept.points[best["label"]][0].settings if best else {}
        facts = {"best": best["label"], **{f"best.{key}": value for key, value in settings.items()}} if best else {}
        self._events.summarised(facts, files)

    def end(self, error: BaseException | None) -> None:
        """The sweep is over, or stopped."""
        self._events.ended(error)
