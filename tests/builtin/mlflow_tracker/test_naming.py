"""What runs are called in MLflow, their colours and descriptions."""

from __future__ import annotations

import colorsys
from pathlib import Path

import pytest

from p2pkit import DatasetFacts, ImageSpec, PairSpec, Report, Run
from p2pkit.builtin.mlflow_tracker import naming


def made(kind: str, name: str, **tags: str) -> Run:
    image = ImageSpec(3)
    data = DatasetFacts("shapes", PairSpec(image, image, 16, 16), {}, "aa")
    config = {
        "summary": "A tiny run.",
        "origin": "",
        "engine": {"seed": 0},
        "evaluate": {"split": "val", "batch_norm": "batch", "dropout": "off"},
        "tracking": {"tags": tags},
    }
    return Run(name, kind, Path("runs") / name, config, data, {})  # type: ignore[arg-type]  # any kind is tried


def test_names() -> None:
    assert naming.run_name(made("training", "facades-1")) == "facades-1"
    assert naming.run_name(made("training", "l1.weight=1_seed=0", **{"p2pkit.title": "l1 1"})) == "l1 1"
    assert naming.run_name(made("sweep", "weights")) == "weights"
    assert naming.run_name(made("evaluation", "val-1"), "l1 1") == "l1 1 (val, batch norm batch, dropout off)"
    assert naming.run_name(made("evaluation", "val-1")).startswith("val (val")


def hue(colour: str) -> float:
    return colorsys.rgb_to_hls(*(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)))[0]


def test_points_have_colours_far_apart_and_seeds_shades_of_them() -> None:
    hues = [hue(naming.colour(place)) for place in range(6)]
    gaps = [min(abs(a - b), 1 - abs(a - b)) for i, a in enumerate(hues) for b in hues[:i]]
    assert min(gaps) > 0.08
    assert hue(naming.colour(2, 1)) == pytest.approx(hue(naming.colour(2)), abs=0.01)
    assert naming.colour(2, 1) != naming.colour(2)


def test_a_description_has_scores_then_the_sheet_then_the_recipe_s_words() -> None:
    report = Report("val", 8, {"l1": 0.2, "odd": 1.0}, {"source": {"l1": 0.4}}, {"l1": False, "odd": None})
    text = naming.description(made("training", "a"), "f00", 12, report, Path("samples/step-00000012.png"))
    lines = text.splitlines()
    assert lines[0] == "|  | val | source itself | better by |"
    assert lines[2] == "| l1 ↓ | 0.2000 | 0.4000 | +50.0% |"
    assert lines[3] == "| odd | 1.0000 |  |  |"
    assert "(get-artifact?path=samples%2Fstep-00000012.png&run_uuid=f00)" in text
    assert text.index("get-artifact") < text.index("A tiny run.")
