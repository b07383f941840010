"""A sweep's work as a study: every unit is taken once, and what is given up comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from p2pkit import ConfigError, ModelError
from p2pkit.sweep.holder import held
from p2pkit.sweep.plan import plan
from p2pkit.sweep.storage import open_storage
from p2pkit.sweep.study import Work, create_study, load_study, runs_of

WEIGHTS = [1, 2, 3]


@pytest.fixture
def opened(tiny, quiet, tmp_path):
    """Return a function that opens the work of a sweep of three runs, as each process does it."""
    planned = plan(tiny, {"losses.l1.weight": WEIGHTS}, registry=quiet)
    create_study(open_storage(None, tmp_path), "s", planned)
    return lambda: Work(load_study(open_storage(None, tmp_path), "s"), planned, first=False)


def unit_of(trial):
    return trial.user_attrs["unit"]


def done(work, trial, state="finished", error=""):
    children = [replace(child, state=state, error=error) for child in runs_of(trial)]
    work.save(trial, children)
    work.finish(trial, children, [1.0] if state == "finished" else [])


def states(work):
    return [child.state for unit in work.units for child in unit]


def test_of_many_that_ask_each_gets_another_unit(opened):
    def grab(_):
        work = opened()
        return [unit_of(trial) for trial in iter(work.take, None)]

    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(grab, range(3)))
    assert sorted(unit for units in got for unit in units) == [0, 1, 2]
    assert opened().take() is None


def test_what_is_given_back_is_taken_anew_with_what_is_done_of_it(opened):
    work = opened()
    trial = work.take()
    assert [unit_of(trial), runs_of(trial)[0].settings] == [0, {"losses.l1.weight": 1}]
    work.save(trial, [replace(runs_of(trial)[0], home="here")])
    work.give_back(trial.number)
    work.give_back(trial.number)  # whoever is second gives nothing back
    assert not work.busy
    taken = list(iter(opened().take, None))
    assert [unit_of(each) for each in taken] == [1, 2, 0]
    assert runs_of(taken[-1])[0].home == "here"


def test_a_dead_process_loses_its_trial_and_a_living_one_does_not(opened):
    work = opened()
    living, dead = work.take(), work.take()
    dead.set_user_attr("holder", ["elsewhere", 1, 1.0, 1.0])
    with held(living):
        other = opened()
        assert [unit_of(trial) for trial in iter(other.take, None)] == [2, 1]
        assert other.busy


def test_what_a_lost_worker_had_is_given_back_and_nothing_else(opened):
    work = opened()
    first, second = work.take(), work.take()
    with held(first, "one"), held(second, "two"):
        work.give_back_of("one")
        other = opened()
        assert [unit_of(trial) for trial in iter(other.take, None)] == [2, unit_of(first)]


def test_one_who_was_taken_for_dead_changes_nothing_any_more(opened):
    work = opened()
    late = work.take()
    late.set_user_attr("holder", ["elsewhere", 1, 1.0, 1.0])
    other = opened()
    again = [trial for trial in iter(other.take, None) if unit_of(trial) == unit_of(late)]
    done(work, late, "failed")
    done(other, again[0])
    assert states(opened())[0] == "finished"


def test_work_that_was_lost_between_two_steps_of_giving_it_back_comes_back(opened):
    work = opened()
    trial = work.take()
    work.study.tell(trial, state=TrialState.FAIL)  # and then its process died
    assert sorted(unit_of(trial) for trial in iter(opened().take, None)) == [0, 1, 2]


def test_what_two_give_back_at_one_moment_is_done_once_and_nothing_of_it_is_left(opened, monkeypatch):
    work, other = opened(), opened()
    trial = work.take()
    enqueue, taken = work._enqueue, []

    def after_another(given):  # who looks between the two steps of giving it back, and takes all there is
        taken.extend(iter(other.take, None))
        enqueue(given)

    monkeypatch.setattr(work, "_enqueue", after_another)
    work.give_back(trial.number)
    assert [unit_of(each) for each in taken] == [1, 2, 0]
    assert work.take() is None
    for each in taken:
        done(other, each)
    assert states(work) == ["finished"] * 3
    assert [trial.state for trial in work.study.trials].count(TrialState.COMPLETE) == 3
    assert not work.study.get_trials(states=[TrialState.WAITING])


def test_what_failed_is_tried_again_once_however_many_ask_for_it(opened):
    work = opened()
    for trial in iter(work.take, None):
        done(work, trial, "failed" if unit_of(trial) == 1 else "finished", "broken")
    assert states(work) == ["finished", "failed", "finished"]
    first, second = opened(), opened()
    failed = first._current()[1]
    first.try_again()
    second._enqueue(failed, failed="waiting")  # as one does who looked at the same moment
    taken = [unit_of(trial) for trial in iter(second.take, None)]
    assert taken == [1]
    assert first.take() is None


def test_a_name_is_taken_once_and_only_what_is_there_is_found(opened, tiny, quiet, tmp_path):
    planned = plan(tiny, {"losses.l1.weight": WEIGHTS}, registry=quiet)
    with pytest.raises(ConfigError, match="there is a sweep 's' already"):
        create_study(open_storage(None, tmp_path), "s", planned)
    with pytest.raises(ModelError, match=r"holds no sweep 'x'\n.*there are: s"):
        load_study(open_storage(None, tmp_path), "x")
