"""Points by their scores."""

from __future__ import annotations

from types import SimpleNamespace

from p2pkit.compare.ranking import Ranking, goal_of, write_table


def run(label, state="finished", costs=None, **metrics):
    return SimpleNamespace(label=label, settings={"generator": label}, state=state, costs=costs or {}, metrics=metrics)


def test_of_a_metric_with_several_values_the_first_is_the_goal():
    names = ["l1", "classes/pixels", "classes/pixels_spread", "classes/iou"]
    assert goal_of(names, "l1") == "l1"
    assert goal_of(names, "classes") == "classes/pixels"
    assert goal_of(names, "classes/iou") == "classes/iou"
    assert goal_of(names, "class") is goal_of(names, None) is None
    scores = {"a": (0.5, 0.2), "b": (0.4, 0.3)}
    children = [
        SimpleNamespace(
            label=label, settings={}, state="finished", costs={}, metrics={"classes/pixels": p, "classes/iou": i}
        )
        for label, (p, i) in scores.items()
    ]
    first = Ranking(tuple(children), goals={"classes": True})
    assert (first.goal, first.best["label"]) == ("classes/pixels", "a")
    assert Ranking(tuple(children), goals={"classes/iou": True}).best["label"] == "b"
    assert Ranking(tuple(children), goals={"l1": False}).best is None


def test_a_row_has_means_spreads_and_what_networks_cost(tmp_path):
    runs = (
        run("a", costs={"parameters": 2.0}, l1=1.0),
        run("a", costs={"parameters": 4.0}, l1=3.0),
        run("b", "pruned", l1=0.5),
    )
    ranking = Ranking(runs, goals={"l1": False})
    assert ranking.table() == [
        {"label": "a", "runs": 2, "l1": 2.0, "l1_spread": 2**0.5},
        {"label": "b", "runs": 0, "pruned": 1, "l1": 0.5, "l1_spread": 0.0},
    ]
    assert ranking.best["label"] == "a"
    assert ranking.costs() == {"a": {"parameters": 3.0}, "b": {}}
    lines = write_table(ranking, tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "label,runs,l1,l1_spread,parameters,generator,pruned"
    assert lines[1].startswith("a,2,2.0,1.41")
