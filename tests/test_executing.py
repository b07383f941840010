"""Work is done in any order, each piece once; what fails is told, and what is lost is given anew."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

import p2pkit
from p2pkit.executing import do_work, perform
from p2pkit.testing.works import piece


class Losing:
    """Does work at once, but loses the worker of some pieces so many times."""

    def __init__(self, **losses):
        self.losses = losses
        self.asked = []
        self.closed = 0

    def submit(self, work, resources, tell):
        self.asked.append(work.name)
        future = Future()
        if self.losses.get(work.name, 0) > 0:
            self.losses[work.name] -= 1
            future.set_exception(ChildProcessError("killed"))
        else:
            future.set_result(do_work(work, tell))
        return future

    def close(self):
        self.closed += 1


def done(executor, *works, **options):
    return list(perform(executor, works, p2pkit.Resources(), **options))


def test_what_comes_of_work_is_a_value_or_sentences(capsys):
    heard = []
    works = [piece("add", numbers=[1, 2]), piece("refuse"), piece("crash")]
    found = done(Losing(), *works, told=lambda work, said: heard.append((work.name, said)))
    assert [(each.value, [str(problem) for problem in each.problems]) for each in found] == [
        (3, []),
        (None, ["a.png: can't be read\n  -> mend it", "b.png: is empty"]),
        (None, ["crash: TypeError: odd"]),
    ]
    assert heard == [("add", {"number": 1}), ("add", {"number": 2})]
    assert "TypeError" in capsys.readouterr().err  # with its traceback, for whoever wrote the work


def test_a_lost_piece_is_given_anew_and_given_up_at_last():
    executor, seen = Losing(unlucky=2, doomed=9), []
    works = [piece("add", name, numbers=[1]) for name in ("unlucky", "doomed", "fine")]
    found = {each.work.name: each for each in done(executor, *works, lost=lambda work, why: seen.append(work.name))}
    assert {name: each.value for name, each in found.items()} == {"unlucky": 1, "doomed": None, "fine": 1}
    assert found["doomed"].lost
    assert "lost 3 times" in str(found["doomed"].problems[0])
    assert sorted(executor.asked) == ["doomed"] * 3 + ["fine"] + ["unlucky"] * 3
    assert sorted(seen) == ["doomed"] * 3 + ["unlucky"] * 2


def test_the_executor_is_closed_whatever_happens():
    executor = Losing()
    outcomes = perform(executor, [piece("add", numbers=[n]) for n in range(3)], p2pkit.Resources())
    assert next(outcomes).value == 0
    outcomes.close()
    assert executor.closed == 1
    assert len(executor.asked) < 3


def test_another_p2pkit_does_no_work():
    came = do_work(replace(piece("add", numbers=[1]), version="0.0"), lambda said: None)
    assert "install the same version" in came["problems"][0]["remedy"]


@pytest.mark.parametrize("call", ["p2pkit.nowhere:f", "p2pkit.testing.works:g"])
def test_a_call_that_leads_nowhere(call, capsys):
    assert "no " in do_work(p2pkit.Work(call, name="w"), print)["problems"][0]["cause"].lower()
