"""What came of a sweep: a table, and with it a contact sheet, plots and a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from p2pkit.compare import compare, draw_contact_sheet, draw_front, save_plots, write_page
from p2pkit.compare.ranking import Ranking, write_table
from p2pkit.config import PublishedConfig
from p2pkit.sweep.points import Child

TABLE = "table.csv"
PLOTS = "plots"


@dataclass(frozen=True)
class Sweep(Ranking):
    """A sweep as it stands.

    Args:
        children: The runs, in order.
        goals: What says which point is best, the first of them alone, and whether more of it is better.
        folder: Its folder, in which each run has one of its own.
        open: How many points Optuna has still to choose.
        experiment: The experiment that trackers keep its runs in.
        busy: Whether other processes work on it.
        published: Figures of others for the same points.
        signal: The signal that stopped this process's part, if one did.
    """

    children: tuple[Child, ...]
    folder: Path
    open: int = 0
    experiment: str = ""
    busy: bool = False
    published: PublishedConfig = field(default_factory=PublishedConfig)
    signal: int | None = None

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / "sheet.png"

    @property
    def page(self) -> Path:
        """Everything in one page."""
        return self.folder / "page.html"

    @property
    def finished(self) -> list[Path]:
        """The folders of the finished runs that can be reached from here."""
        done = [child for child in self.children if child.state == "finished"]
        places = ((Path(child.home, child.folder), self.folder / child.folder) for child in done)
        found = (next((place for place in each if place.is_dir()), None) for each in places)
        return [folder for folder in found if folder is not None]

    @property
    def complete(self) -> bool:
        """Whether no run is waiting any more."""
        return not self.open and all(child.state != "waiting" for child in self.children)


def write_results(swept: Sweep) -> list[Path]:
    """Write the table, and where a run is finished the contact sheet, the plots and a page; return the files."""
    files = [write_table(swept, swept.folder / TABLE)]
    if swept.finished:
        compared = compare(swept.finished, by_protocol=True)
        draw_contact_sheet(compared, swept.sheet)
        files += [swept.sheet, *save_plots(compared, swept.folder / PLOTS), swept.page]
        write_page(compared, swept.page, title=swept.folder.name)
    if points := swept.weighed():
        files.append(swept.folder / PLOTS / "front.png")
        draw_front(points, {goal: bool(higher) for goal, higher in swept.goals.items()}, files[-1])
    return files
