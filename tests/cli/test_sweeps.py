"""The command `p2pkit sweep`."""

from __future__ import annotations

import re

import pytest


def test_a_sweep_prints_its_table_its_best_point_and_where_to_look(p2pkit, tiny, tmp_path):
    done = p2pkit("sweep", tiny, "losses.l1.weight=1,100", "--seeds", "2", "--name", "s", "-q")
    assert done.code == 0, done.err
    assert re.search(r"l1.weight=100 .* 2 .*0\.\d{4} ± 0\.\d{4}", done.out)
    assert re.search(r"best +l1.weight=\d+ by l1", done.out)
    assert "│ l1 ↓ │" in " ".join(done.out.replace("┃", "│").split())
    assert "sheet    runs/s/sheet.png" in done.out
    assert "p2pkit ui" not in done.out  # nothing was recorded in MLflow
    again = p2pkit("sweep", "--join", "s", "-q")
    assert again.code == 0, again.err
    assert again.out == done.out


def test_a_random_sweep(p2pkit, tiny):
    done = p2pkit("sweep", tiny, "losses.l1.weight=1..300:log", "--random", "2", "--name", "s", "-q")
    assert done.code == 0, done.err
    assert len(re.findall(r"│ l1\.weight=[\d.]+ ", done.out)) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["demo"], "give keys with values"),
        (["demo", "losses.l1.weight=1..9"], "a grid can't run every value of the range 1..9"),
        (["demo", "losses.l1.weight=1..9", "--search", "luck", "--trials", "2"], "sweep.search"),
        (["demo", "losses.l1.weight=1..9", "--search", "random"], "how many points"),
        (["demo", "losses.l1.weight=1,9", "--by", "ssimm"], "did you mean ssim"),
        (["--join", "gone"], "there is no sweep to go on with"),
        (["demo", "losses.l1.wieght=1,2", "generator=unett,unet_64"], "2 errors"),
    ],
)
def test_wrong_input_is_an_error_for_users(p2pkit, arguments, text):
    failed = p2pkit("sweep", *arguments)
    assert failed.code == 2
    assert text in failed.err
    assert "Traceback" not in failed.err


@pytest.mark.parametrize(
    "arguments", [[], ["demo", "--join", "s"], ["demo", "a=1", "--random", "3", "--trials", "3"]], ids=str
)
def test_options_that_do_not_go_together(p2pkit, arguments):
    assert p2pkit("sweep", *arguments).code == 2


def test_a_sweep_of_networks_shows_each_run_s_scores_the_time_left_and_what_networks_cost(p2pkit, tiny, tmp_path):
    done = p2pkit("sweep", tiny, "generator.params.width=4,8", "--name", "s")
    assert done.code == 0, done.err
    first, second = re.findall(r"\[\d/2\] (.+)\n(.+)\n", done.out)
    assert first[0] == "width=4 seed=0"
    assert re.fullmatch(r"    l1 0\.\d+; 1 more, about [\d.]+ (s|min)", first[1])
    assert re.fullmatch(r"    l1 0\.\d+", second[1])
    table = done.out[done.out.index("runs/s") :]
    assert re.search(r"parameters .* images/s", table)
    assert re.search(r"width=4 .* \d+,\d{3} ", table)
    head = (tmp_path / "runs" / "s" / "table.csv").read_text().partition("\n")[0]
    assert "parameters,images/s" in head
    assert ">images/s<" in (tmp_path / "runs" / "s" / "page.html").read_text()
