"""Runs side by side: what differs between them, their scores by protocol, a contact sheet and plots."""

from p2pkit.compare.comparison import Comparison, compare
from p2pkit.compare.find import find_runs, runs_of_experiment
from p2pkit.compare.front import draw_front, pareto_front
from p2pkit.compare.page import write_page
from p2pkit.compare.plots import figures, save_plots
from p2pkit.compare.points import Column, Point, Summary
from p2pkit.compare.records import Record, Scored
from p2pkit.compare.sheet import draw_contact_sheet

__all__ = [
    "Column",
    "Comparison",
    "Point",
    "Record",
    "Scored",
    "Summary",
    "compare",
    "draw_contact_sheet",
    "draw_front",
    "figures",
    "find_runs",
    "pareto_front",
    "runs_of_experiment",
    "save_plots",
    "write_page",
]
