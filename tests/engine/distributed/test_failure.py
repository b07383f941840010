"""What ends one process ends them all, with one cause, told once."""

from __future__ import annotations

import functools
import os
import signal
import time

import pytest
import torch.distributed as dist

from p2pkit import TrainingError
from p2pkit.engine.distributed import failure
from p2pkit.engine.distributed.failure import is_reporter, lost_process_problem, propagate_failure
from p2pkit.errors import Stopped


@pytest.fixture
def store(placed, monkeypatch):
    """This process is 1 of two, and what torchrun keeps for both is here."""
    placed(RANK=1, WORLD_SIZE=2)
    kept = dist.HashStore()
    asked = functools.cache(lambda: kept)
    monkeypatch.setattr(failure, "torchrun_store", asked)
    words = failure.rendezvous_store
    words.cache_clear()
    monkeypatch.setattr(failure, "_LAST_WORD", 0.2)
    before = signal.getsignal(signal.SIGTERM)
    yield words()
    signal.signal(signal.SIGTERM, before)
    words.cache_clear()


def test_alone_an_error_is_left_as_it_is(placed):
    placed()
    with pytest.raises(RuntimeError, match="gloo"), propagate_failure():
        raise RuntimeError("/gloo/ did not answer")
    assert is_reporter()


def test_the_first_that_asks_tells_the_user(store):
    assert is_reporter()
    assert is_reporter()
    store.set("teller", "0")
    assert not is_reporter()


def test_whoever_can_not_ask_tells_too(store, monkeypatch):
    def gone():
        raise RuntimeError("Connection reset by peer")

    monkeypatch.setattr(failure, "rendezvous_store", gone)
    assert is_reporter()
    assert "does not answer" in lost_process_problem().cause


def test_an_error_is_left_as_a_word_for_the_others(store):
    with pytest.raises(ValueError, match="first"), propagate_failure():
        raise ValueError("first line\nsecond line")
    assert store.get("word") == b"first line"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN  # torchrun sends one to whoever is left
    assert lost_process_problem().cause == "another process of this run has failed: first line"


def test_an_error_without_words_leaves_its_name(store):
    with pytest.raises(ZeroDivisionError), propagate_failure():
        raise ZeroDivisionError
    assert store.get("word") == b"ZeroDivisionError"


def test_only_the_first_word_counts(store):
    store.set("teller", "0")
    with pytest.raises(ValueError, match="mine"), propagate_failure():
        raise ValueError("mine")
    assert not store.check(["word"])


@pytest.mark.parametrize("error", [RuntimeError("[../third_party/gloo/gloo/transport] closed"), dist.DistError("lost")])
def test_the_loss_of_another_process_is_told_as_such(store, error):
    with pytest.raises(TrainingError) as caught, propagate_failure():
        raise error
    (problem,) = caught.value.problems
    assert "does not answer" in problem.cause
    assert "train --resume RUN" in problem.remedy
    assert "torchrun's summary" in problem.remedy
    assert caught.value.__cause__ is error


def test_a_signal_to_one_process_is_what_the_others_end_with(store):
    """Each has its own, and no failure is told where somebody has stopped the run."""
    with pytest.raises(Stopped), propagate_failure():
        raise Stopped(signal.SIGINT)
    with pytest.raises(Stopped) as caught, propagate_failure():
        raise dist.DistError("lost")
    assert caught.value.signal == signal.SIGINT


def test_who_is_stopped_before_it_has_joined_waits_for_nobody(placed):
    placed(RANK=1, WORLD_SIZE=2)
    failure.torchrun_store.cache_clear()
    with pytest.raises(Stopped), propagate_failure():
        raise Stopped(signal.SIGTERM)


def test_the_last_words_of_an_earlier_start_are_not_those_of_this_one(store, monkeypatch):
    with pytest.raises(ValueError, match="first"), propagate_failure():
        raise ValueError("first")
    assert "has failed: first" in lost_process_problem().cause
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    failure.rendezvous_store.cache_clear()
    assert is_reporter()
    assert "does not answer" in lost_process_problem().cause


@pytest.mark.slow
def test_a_killed_process_ends_the_run_which_is_recorded_as_failed(torchrun, command, mlflow_here):
    """The main process hears of it at once, says so, and closes its records; torchrun gives the exit code."""
    import mlflow

    start, finish = torchrun
    names = mlflow_here / "registry.yaml"
    names.write_text("{}\n")
    begun = time.monotonic()
    code, said = finish(
        start(mlflow_here, *command("die", names), MLFLOW_TRACKING_URI=os.environ["MLFLOW_TRACKING_URI"])
    )
    assert code == 1
    assert time.monotonic() - begun < 250  # and not when gloo gives up, after half an hour
    assert said.count("another process of this run does not answer") == 1
    assert "exitcode  : -9" in said
    assert "exitcode  : 2" in said
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    run = client.get_run((mlflow_here / "runs" / "run" / "mlflow.id").read_text().strip())
    assert run.info.status == "FAILED"
    assert "does not answer" in run.data.tags["p2pkit.error"]
    assert run.data.params["processes"] == "2"
    assert run.data.params["global_batch"] == "4"


@pytest.mark.slow
def test_a_process_that_fails_says_why_and_the_others_know(torchrun, command, tmp_path):
    start, finish = torchrun
    code, said = finish(start(tmp_path, *command("fail")))
    assert code == 1
    assert said.count("losses.deed: deeds:deed failed: RuntimeError: the third step is too much") == 1
    assert said.count("error:\n") == 1
    assert "the third step" in (tmp_path / "runs" / "run" / "error-1.txt").read_text()


@pytest.mark.long
def test_problems_of_a_config_are_told_once(torchrun, tmp_path, quiet_file):
    start, finish = torchrun
    (tmp_path / "run.yaml").write_text("dataset: shapes\ngenerator: unett_64\nengine: {batch: 10_000, device: cpu}\n")
    code, said = finish(start(tmp_path, "-m", "p2pkit", "train", "run.yaml", "--registry", quiet_file))
    assert code == 1
    assert said.count("2 errors:") == 1
    assert said.count("generator.use: ") == 1
    assert said.count("exitcode  : 2") >= 1
    assert not (tmp_path / "runs").exists()
