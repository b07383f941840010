"""What a run of a sweep is called where space is short, and its place among the points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pkit.compare.settings import label, title
from p2pkit.config import SweepConfig
from p2pkit.mlflow_store import SWEEP_TAG
from p2pkit.sweep.points import Child

POINT, TITLE, PLACE = "p2pkit.point", "p2pkit.title", "p2pkit.place"


@dataclass(frozen=True)
class Naming:
    """How trackers hear of a sweep's runs.

    Args:
        sweep: The sweep's name.
        wanted: What differs between the runs.
    """

    sweep: str
    wanted: SweepConfig

    def title(self, child: Child) -> str:
        """Return what differs as `gan 0 l1 100`; with the seed where a point has several."""
        values = {key: value for key, value in child.settings.items() if key in self.wanted.axes}
        name = child.label.removesuffix(label(values)).strip()
        seed = f"seed {child.seed}" if self.wanted.seeds > 1 or not child.label else ""
        return " ".join(filter(None, (name, title(values), seed)))

    def tags(self, child: Child, children: Iterable[Child]) -> dict[str, str]:
        """Return a run's tags: the sweep, its point, how that is written in legends, and which one in order it is."""
        points = list(dict.fromkeys(each.label for each in children))
        place = points.index(child.label) if child.label in points else len(points)
        return {SWEEP_TAG: self.sweep, POINT: child.label, TITLE: self.title(child), PLACE: str(place)}
