"""Several processes train as one does; two of them on the CPU, by gloo."""

from __future__ import annotations

import copy
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

import p2pkit
from p2pkit import ConfigError, P2pkitError, Problem
from p2pkit.config import load_config
from p2pkit.engine.distributed.collectives import (
    _merged,
    all_reduce_signal_async,
    check_equal_across_ranks,
    on_main_rank,
    process_group,
    raise_on_all_ranks,
)
from p2pkit.engine.distributed.world import World, world
from p2pkit.engine.storage.checkpoint import read_state
from p2pkit.engine.storage.evaluations import last_evaluation, load_evaluation
from p2pkit.registry import load_registry
from p2pkit.sweep import sweep

WORKER = Path(__file__).with_name("two_processes.py")
DEEDS = Path(__file__).with_name("deeds.py")
TINY = {
    "dataset": {"use": "shapes", "params": {"size": 16, "count": 12}},
    "generator": "unet_tiny",
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8}},
    "losses": {"gan": {"weight": 1, "params": {"mode": "lsgan"}}, "l1": 100},
    "optimizers": {name: {"eps": 1e-4} for name in ("generator", "discriminator")},
    "schedule": {"epochs": 2},
    "engine": {"batch": 4, "log_every": 1, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 2},
}
PLAIN = {
    "generator": {"use": "unet", "params": {"depth": 3, "width": 8, "norm": "none", "dropout": 0.0}},
    "discriminator": {"use": "patch", "params": {"layers": 1, "width": 8, "norm": "none"}},
    "losses.r1": {"weight": 0.1, "every": 2},
    "engine.ema": 0.9,
    "engine.clip": 1.0,
}
"""Components without statistics over a batch and without chance."""
SPARE = {"generator": "spare", "discriminator": "spare"}
CHANCE = {"augment": ["flip"], "generator": {"use": "unet", "params": {"depth": 3, "width": 8, "dropout": 0.5}}}
UNEVEN = {"dataset.params.count": 13, "evaluate.split": "train", "evaluate.metrics": ["l1", "psnr", "ssim", "few"]}


def place(monkeypatch, **values):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_on_its_own_a_process_is_the_only_one(monkeypatch):
    place(monkeypatch)
    assert world() == World(0, 1, 0, 1)
    assert world().main
    assert not world().several


def test_torchrun_says_which_process_it_is(monkeypatch):
    place(monkeypatch, RANK=5, WORLD_SIZE=8, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4)
    assert world() == World(5, 8, 1, 4)
    assert not world().main
    assert world().several


def test_alone_nothing_is_started(monkeypatch):
    place(monkeypatch)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *a, **k: pytest.fail("joined a group"))
    signals = iter([None, signal.SIGTERM])
    with process_group() as here:
        assert here == World()
        assert raise_on_all_ranks(lambda: 1) == on_main_rank(lambda: 1) == 1
        check_equal_across_ranks("the data", object(), "")
        asked = all_reduce_signal_async(lambda: next(signals))
        assert (asked(), asked()) == (None, signal.SIGTERM)


def test_a_problem_is_told_once_and_says_whose_it_is():
    mine, ours = Problem("a", "is wrong", "mend it"), Problem("b", "is wrong")
    merged = _merged([[ours], [mine, ours], [ours, mine]])
    assert merged == [ours, Problem("a", "is wrong (in process 1, 2)", "mend it")]


def test_each_process_takes_a_gpu_of_its_own(monkeypatch, checked):
    from p2pkit.engine.device.choose import choose_device

    place(monkeypatch, RANK=3, WORLD_SIZE=4, LOCAL_RANK=1, LOCAL_WORLD_SIZE=2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes on this machine need a GPU each, and torch sees 1"):
        checked(**{"engine.device": "cuda", "engine.batch": 1})
    with pytest.raises(ConfigError, match="cuda:0 can't serve 4 processes"):
        checked(**{"engine.device": "cuda:0", "engine.batch": 1})


def test_an_update_must_not_take_more_pairs_than_there_are(monkeypatch, checked):
    place(monkeypatch, RANK=0, WORLD_SIZE=4)
    with pytest.raises(ConfigError, match="one update takes 16 pairs, and there are 12"):
        checked()


def test_statistics_are_shared_between_gpus_only(monkeypatch, checked):
    sharing = {"engine.sync_batch_norm": True, "engine.batch": 1}
    assert checked(**sharing).plan.config.engine.sync_batch_norm
    place(monkeypatch, RANK=0, WORLD_SIZE=2)
    with pytest.raises(ConfigError, match=r"engine.sync_batch_norm: .* these processes compute on a CPU") as caught:
        checked(**sharing)
    assert caught.value.problems[0].remedy == "set it to false, or use GPUs"


@pytest.fixture(scope="module")
def torchrun():
    """Run a command by torchrun in two processes, and leave none behind, whatever happens."""
    mark = f"p2pkit-test-{os.getpid()}-{time.monotonic_ns()}"
    environment = {**os.environ, "P2PKIT_TEST_MARK": mark, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def left():
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("P2PKIT_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # gone meanwhile, or not ours
                continue
        return found

    def start(folder, *command, **variables):
        engine = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.Popen(
            [*engine, *map(str, command)],
            cwd=folder,
            env={**environment, **variables},
            text=True,
            stderr=subprocess.PIPE,
        )

    def finish(process, timeout=150):
        _, said = process.communicate(timeout=timeout)
        assert left() == []
        return process.returncode, said

    yield start, finish
    for process in left():
        process.kill()


@pytest.fixture(scope="module")
def quiet_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("names") / "registry.yaml"
    file.write_text("plugins: {block: [p2pkit.mlflow]}\n")
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(torchrun, quiet_file, folder):
    """Train in one process and in two; return the folder that holds all runs."""
    start, finish = torchrun
    registry = load_registry(quiet_file, discover=False, plugin_files=[DEEDS])
    worker = runpy.run_path(str(WORKER))

    def job(name, *changes, resume=None, stop=None):
        raw = load_config(copy.deepcopy(TINY), {key: value for change in changes for key, value in change.items()}).raw
        return {"folder": str(folder / name), "config": raw, "resume": resume and str(resume), "stop": stop}

    def alone(*arguments, **options):
        return worker["train"](job(*arguments, **options), registry, World()).checkpoint

    alone("one", PLAIN)
    alone("one_spare", PLAIN, SPARE)
    alone("one_uneven", PLAIN, UNEVEN)
    stopped = alone("one_stopped", PLAIN, stop=1)
    half = {"engine.batch": 2}
    jobs = [
        job("two", PLAIN, half),
        job("two_accumulated", PLAIN, {"engine.batch": 1, "engine.accumulate": 2}),
        job("two_spare", PLAIN, SPARE, half),
        job("two_uneven", PLAIN, UNEVEN, half),
        job("one_then_two", PLAIN, half, resume=stopped),
        job("one_then_twice_as_much", PLAIN, resume=stopped),
        job("two_stopped", PLAIN, half, stop=2),
        job("chance", CHANCE, half),
        job("chance_stopped", CHANCE, half, stop=2),
        job("chance_resumed", CHANCE, half, resume=folder / "chance_stopped" / "checkpoints" / "step-00000004"),
    ]
    one_pair = {"dataset.params.count": 1, "evaluate.split": "train", "evaluate.metrics": ["l1", "psnr", "ssim"]}
    jobs.append({"folder": str(folder / "two_accumulated"), "evaluate": one_pair})
    p2pkit.evaluate(folder / "one", registry=registry, **one_pair)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    code, said = finish(start(folder, WORKER, quiet_file, DEEDS, folder / "jobs.json"))
    assert code == 0, said
    alone("two_then_one", PLAIN, resume=folder / "two_stopped" / "checkpoints" / "step-00000004")
    return folder


def last(run):
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def weights(run):
    """Return weights, moments and the moving average of a run's last checkpoint."""
    tensors = {k: v for k, v in load_file(last(run) / "training.safetensors").items() if not k.startswith("random")}
    average = load_file(last(run) / "generator.safetensors")
    return tensors | {f"average.{name}": value for name, value in average.items()}


def assert_near(first, second):
    """The order of additions differs, so fp32 agrees to about four digits after some steps."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("run", ["two", "two_accumulated", "one_then_two", "two_then_one"])
def test_two_processes_learn_what_one_does_with_the_batch_doubled(runs, run):
    assert_near(weights(runs / run), weights(runs / "one"))
    assert read_state(last(runs / run))["position"] == read_state(last(runs / "one"))["position"]


@pytest.mark.slow
def test_a_network_may_have_parameters_that_it_does_not_use(runs):
    assert_near(weights(runs / "two_spare"), weights(runs / "one_spare"))


@pytest.mark.slow
def test_scalars_are_means_over_the_processes(runs):
    logged = [json.loads((runs / "two" / f"logged-{rank}.json").read_text()) for rank in (0, 1)]
    expected = json.loads((runs / "one" / "logged-0.json").read_text())
    assert [step for step, _ in logged[0]] == [step for step, _ in expected]
    for (_, main), (_, other), (_, alone) in zip(*logged, expected, strict=True):
        assert main.keys() == other.keys() == alone.keys()
        for name in (name for name in alone if not name.startswith("speed/")):
            assert main[name] == other[name]
            assert main[name] == pytest.approx(alone[name], rel=1e-4, abs=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize(("two", "one"), [("two", "one"), ("two_uneven", "one_uneven")])
def test_evaluation_has_no_pair_twice(runs, two, one):
    """13 pairs for two processes: the scores, baselines and samples are those of one process."""
    (mine, shown), (expected, wanted) = last_evaluation(runs / two), last_evaluation(runs / one)
    assert mine.count == expected.count == (13 if "uneven" in two else 8)
    assert mine.metrics == pytest.approx(expected.metrics, rel=1e-4)
    assert list(mine.warnings) == list(expected.warnings) == (["few: 13 pairs are few"] if "uneven" in two else [])
    assert mine.baselines.keys() == expected.baselines.keys() == {"source", "mean"}
    for name, scores in expected.baselines.items():
        assert mine.baselines[name] == pytest.approx(scores, rel=1e-5)
    assert shown.names == wanted.names
    for picture, other in zip(shown.pictures, wanted.pictures, strict=True):
        assert abs(picture.astype(int) - other).max() <= 1


@pytest.mark.slow
def test_evaluation_of_fewer_pairs_than_processes(runs):
    """Each process then scores them all, as one without a pair has nothing to merge."""
    reports = []
    for run in ("one", "two_accumulated"):
        (sheet,) = (runs / run / "evaluations").glob("*/samples/*.png")
        reports.append(load_evaluation(sheet)[0])
    assert reports[0].count == reports[1].count == 1
    assert reports[0].metrics == pytest.approx(reports[1].metrics, rel=1e-4)


def test_a_sweep_is_for_one_process(monkeypatch):
    place(monkeypatch, RANK=0, WORLD_SIZE=2)
    with pytest.raises(P2pkitError, match="a sweep is for one process, and torchrun has started 2"):
        sweep("demo", ["engine.seed=0,1"])


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_after_the_same_step(runs):
    state = read_state(last(runs / "two_stopped"))
    assert state["position"] == {"step": 4, "epoch": 1, "batches": 1}
    assert len(list((runs / "two_stopped" / "checkpoints").iterdir())) == 1


@pytest.mark.slow
def test_the_position_is_kept_where_the_batch_grows(runs):
    """Of 12 pairs 8 are done by updates of 4; updates of 8 then go on with the next epoch, since 4 do not fill one."""
    position = read_state(last(runs / "one_then_twice_as_much"))["position"]
    assert position == {"step": 3, "epoch": 2, "batches": 0}


@pytest.mark.slow
def test_resumed_on_as_many_processes_is_exact(runs):
    """Each has its random numbers back: dropout and augmentation go on as if nothing had been."""
    whole, resumed = weights(runs / "chance"), weights(runs / "chance_resumed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.slow
def test_processes_differ_in_chance_only(runs):
    tensors = load_file(last(runs / "chance") / "training.safetensors")
    assert not torch.equal(tensors["random.cpu"], tensors["random.1.cpu"])


@pytest.mark.slow
def test_only_the_main_process_writes(runs):
    names = {path.name for path in (runs / "two").iterdir()}
    assert names == {"run.yaml", "checkpoints", "samples", "logged-0.json", "logged-1.json"}
    assert yaml.safe_load((runs / "two" / "run.yaml").read_text())["engine"]["batch"] == 2


RUN = {
    **TINY,
    "losses": {"gan": 1, "deed": {"weight": 1e-3, "params": {"what": "die"}}},
    "schedule": {"epochs": 1000},
    "engine": {"batch": 2, "log_every": 1000, "device": "cpu"},
    "evaluate": {"every": 0, "metrics": ["l1"], "baselines": False},
    "tracking": {"system_metrics": False, "model": False, "name": "run"},
}


@pytest.fixture
def command(tmp_path, quiet_file):
    """Write a variation of a run that does a deed; return the command that trains it."""

    def write(what, registry=quiet_file):
        config = copy.deepcopy(RUN)
        config["losses"]["deed"]["params"]["what"] = what
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
        return ["-m", "p2pkit", "train", "run.yaml", "--plugin", DEEDS, "--registry", registry]

    return write


def wait_for(path, process):
    deadline = time.monotonic() + 100
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
    assert time.monotonic() - begun < 100
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


@pytest.mark.slow
def test_a_signal_saves_once_and_ends_all(torchrun, command, tmp_path):
    start, finish = torchrun
    process = start(tmp_path, *command("wait"))
    wait_for(tmp_path / "step-5-of-0", process)
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert code != 0
    assert "Traceback" not in said.partition("torch/distributed/elastic")[0]
    (checkpoint,) = (tmp_path / "runs" / "run" / "checkpoints").iterdir()
    steps = read_state(checkpoint)["position"]["step"]
    assert (tmp_path / f"step-{steps}-of-1").exists()
    assert not (tmp_path / f"step-{steps + 1}-of-1").exists()


@pytest.mark.slow
def test_a_process_that_hears_no_signal_is_ended(torchrun, command, tmp_path):
    """The main process waits for one that has stopped; neither gets further, and torchrun would kill both."""
    start, finish = torchrun
    process = start(tmp_path, *command("stop"), P2PKIT_TEST_GRACE="1", TORCH_ELASTIC_SHUTDOWN_TIMEOUT="8")
    wait_for(tmp_path / "step-3-of-1", process)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, said = finish(process)
    assert said.count("another process of this run does not answer") == 1


@pytest.mark.slow
def test_problems_of_a_config_are_told_once(torchrun, tmp_path, quiet_file):
    start, finish = torchrun
    (tmp_path / "run.yaml").write_text("dataset: shapes\ngenerator: unett_64\nengine: {batch: 10_000, device: cpu}\n")
    code, said = finish(start(tmp_path, "-m", "p2pkit", "train", "run.yaml", "--registry", quiet_file))
    assert code == 1
    assert said.count("2 errors:") == 1
    assert said.count("generator.use: ") == 1
    assert said.count("exitcode  : 2") >= 1
    assert not (tmp_path / "runs").exists()
