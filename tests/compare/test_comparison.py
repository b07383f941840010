"""Points, columns, the best; and numbers that must not stand in one column."""

from __future__ import annotations

import json
import re

import pytest

from p2pkit import ModelError
from p2pkit.compare import compare
from p2pkit.engine.storage.costs import save_costs

PROTOCOL = {"split": "val", "count": 8, "batch_norm": "running"}
BATCH = {**PROTOCOL, "batch_norm": "batch"}


def weight(value, seed=0):
    return {"losses.l1.weight": value, "engine.seed": seed}


def test_runs_that_differ_in_the_seed_are_one_point(made):
    folders = [
        made("c", weight(100.0), l1=0.30, psnr=20.0),
        made("a", weight(10.0), l1=0.20, psnr=21.0),
        made("b", weight(10.0, 1), l1=0.24, psnr=23.0),
    ]
    compared = compare(folders)
    assert compared.keys == ("losses.l1.weight",)
    assert [point.label for point in compared.points] == ["l1.weight=10", "l1.weight=100"]
    l1, psnr = compared.columns
    low, high = compared.points
    assert (l1.title, psnr.title) == ("l1", "psnr")
    assert low.summary(l1).mean == pytest.approx(0.22)
    assert low.summary(l1).spread == pytest.approx(0.0282843, abs=1e-6)
    assert str(high.summary(l1)) == "0.3000"
    assert compared.best(l1) is low
    assert compared.best(psnr) is low
    data = json.loads(json.dumps(compared.as_dict()))
    assert data["best"] == {"l1": "l1.weight=10", "psnr": "l1.weight=10"}
    assert data["points"][0]["metrics"]["l1"]["values"] == [0.2, 0.24]
    assert [run["seed"] for run in data["points"][0]["runs"]] == [0, 1]


def test_numbers_are_put_in_order_and_names_are_not(made):
    unet = {"use": "p2pkit:unet", "alias": "unet_64", "params": {}}
    small = {"use": "p2pkit:unet", "alias": "small", "params": {}}
    folders = [
        made(str(index), {"generator": generator, **weight(value)}, l1=1.0)
        for index, (generator, value) in enumerate([(unet, 100), (unet, 9), (small, 100), (small, 9)])
    ]
    labels = [point.label for point in compare(folders).points]
    assert labels == [f"generator={g} l1.weight={w}" for g in ("unet_64", "small") for w in (9, 100)]


def test_what_networks_cost_stands_beside_their_scores(made, capsys):
    from p2pkit.cli.tables import print_comparison

    names = {"unet_64": 29_244_547, "small": 97_619}
    folders = [
        made(name, {"generator": {"use": "p2pkit:unet", "alias": name, "params": {}}, **weight(1)}, l1=0.5)
        for name in names
    ]
    for folder, parameters in zip(folders, names.values(), strict=True):
        save_costs(folder, parameters, 12.5)
    compared = compare(folders)
    assert compared.costs == ("parameters", "images/s")
    assert [point.costs["parameters"] for point in compared.points] == list(names.values())
    print_comparison(compared)
    assert re.search(r"l1 ↓ \| +parameters \| +images/s", out := capsys.readouterr().out)
    assert re.search(r"29,244,547 \| +12.5 ", out)


def test_runs_of_one_network_need_no_word_about_its_cost(made):
    folders = [made(str(value), weight(value), l1=0.5) for value in (1, 2)]
    for folder in folders:
        save_costs(folder, 7, 12.5)
    assert compare(folders).costs == ()


def test_runs_on_more_processes_are_measured_by_the_one_on_the_fewest(made, capsys):
    from p2pkit.cli.tables import print_comparison

    folders = [made(str(count), l1=0.5) for count in (4, 1, 2)]
    for folder, count, speed in zip(folders, (4, 1, 2), (30.0, 10.0, 18.0), strict=True):
        save_costs(folder, 7, speed, 2.5 * count, processes=count)
    compared = compare(folders)
    assert compared.keys == ("processes",)
    assert compared.costs == ("images/s", "images/s per process", "efficiency", "joules/image")
    assert [point.label for point in compared.points] == ["processes=1", "processes=2", "processes=4"]
    assert [point.costs["efficiency"] for point in compared.points] == pytest.approx([1, 0.9, 0.75])
    print_comparison(compared)
    assert re.search(r"\| +18 \| +9 \| +90% \| +5 \|", capsys.readouterr().out)
    assert compared.as_dict()["points"][2]["costs"]["images/s per process"] == 7.5


def test_energy_is_shown_whatever_differs(made):
    folders = [made(str(value), weight(value), l1=0.5) for value in (1, 2)]
    save_costs(folders[0], 7, 12.5, 40.0)
    compared = compare(folders)
    assert compared.costs == ("joules/image",)
    assert [point.costs.get("joules/image") for point in compared.points] == [40, None]


def test_a_metric_without_a_direction_has_no_best(made):
    compared = compare([made("a", weight(1), odd=1.0), made("b", weight(2), odd=2.0)])
    assert compared.best(compared.columns[0]) is None


def test_runs_without_scores_count_for_nothing_but_are_shown(made):
    compared = compare([made("a", weight(1), l1=0.5), made("b", weight(2), steps=())])
    (l1,) = compared.columns
    assert [str(point.summary(l1)) for point in compared.points] == ["0.5000", "None"]
    assert compared.best(l1) is None
    with pytest.raises(ModelError, match="none of these runs has been scored"):
        compare([made("c", steps=())])


def test_different_protocols_are_refused_with_the_fields_that_differ(made):
    folders = [
        made("first", weight(1), l1=0.5),
        made("second", weight(2), l1=0.4, protocol=BATCH),
        made("third", weight(3), l1=0.3, protocol={**BATCH, "count": 9}),
    ]
    with pytest.raises(ModelError) as refused:
        compare(folders)
    text = str(refused.value)
    assert "count is 8 (first and 1 more), 9 (third)" in text
    assert "batch_norm is running (first), batch (second and 1 more)" in text
    assert "split" not in text
    assert "--by-protocol" in text


def test_different_protocols_have_columns_of_their_own_when_asked_for(made):
    folders = [made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4, protocol=BATCH)]
    compared = compare(folders, by_protocol=True)
    assert [column.title for column in compared.columns] == ["l1 batch_norm=running", "l1 batch_norm=batch"]
    first, second = compared.points
    running, batch = compared.columns
    assert first.summary(batch) is None
    assert second.summary(running) is None
    assert first.summary(running).mean == 0.5
    assert compared.best(running) is None


def test_a_field_that_only_one_protocol_has_is_named_there_alone(made):
    gathered = {**PROTOCOL, "batch_norm": "recalibrated", "recalibrated": "4 training pairs"}
    folders = [made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4, protocol=gathered)]
    titles = [column.title for column in compare(folders, by_protocol=True).columns]
    assert titles == ["l1 batch_norm=running", "l1 batch_norm=recalibrated, recalibrated=4 training pairs"]
    folders[0] = made("third", weight(1), l1=0.5, protocol={**PROTOCOL, "ema": 0.9})
    folders[1] = made("fourth", weight(2), l1=0.5)
    assert [column.title for column in compare(folders, by_protocol=True).columns] == ["l1 ema=0.9", "l1 no ema"]


def test_a_later_evaluation_makes_runs_comparable(made, scored):
    first, second = made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4, protocol=BATCH)
    scored(second, PROTOCOL, l1=0.45)
    compared = compare([first, second])
    (l1,) = compared.columns
    assert [point.summary(l1).mean for point in compared.points] == [0.5, 0.45]


def test_an_older_network_s_scores_are_not_the_run_s(made, scored):
    first, second = made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4, protocol=BATCH)
    scored(second, PROTOCOL, step=5, l1=0.45)
    with pytest.raises(ModelError, match="batch_norm is"):
        compare([first, second])


def test_all_protocols_that_runs_have_in_common_are_shown(made, scored):
    folders = [made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4)]
    for folder in folders:
        scored(folder, {**PROTOCOL, "split": "test"}, l1=0.6)
    assert [column.title for column in compare(folders).columns] == ["l1 split=val", "l1 split=test"]


def test_a_run_s_time_begins_before_its_first_step(made):
    history = compare([made("a", l1=0.5)]).runs[0].history
    assert [(scored.step, scored.seconds) for scored in history] == [(0, 0), (10, 60)]
    assert history[0].report.metrics["l1"] == 10.5


def test_damaged_scores_are_named(made):
    folder = made("a", l1=0.5)
    (folder / "samples" / "step-00000010.json").write_text("{")
    with pytest.warns(UserWarning, match=r"step-00000010\.json: can't be read"):
        compare([folder])


def test_a_metric_of_other_weights_is_refused(made):
    first, second = made("first", weight(1), l1=0.5), made("second", weight(2), l1=0.4)
    for folder, weights in ((first, "abc"), (second, "def")):
        for file in folder.glob("samples/*.json"):
            data = json.loads(file.read_text())
            data["report"]["own_protocols"] = {"l1": {"version": "1", "weights": weights}}
            file.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"l1: was not measured .*: weights is abc \(first\), def \(second\)"):
        compare([first, second])
