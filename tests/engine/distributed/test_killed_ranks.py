"""One process of a run is killed, wherever it is: the other ends soon, with a sentence, and the run can go on."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import mlflow
import pytest
import yaml

from p2pkit.engine.storage.find import find_checkpoint
from p2pkit.engine.storage.state import read_state

KILLER, DEEDS = (Path(__file__).with_name(f"{name}.py") for name in ("killer", "deeds"))
LOOP = "p2pkit.engine.training.loop:"
EVENTS = "p2pkit.plugins.events:Events."
PLACES = {
    "start": (1, "import"),
    "joining": (1, "p2pkit.api:process_group"),
    "first collective": (1, "p2pkit.api:raise_on_all_ranks"),
    "building": (1, "p2pkit.engine.training.session:build_tuned"),
    "before training": (1, f"{EVENTS}started"),
    "step": (5, f"{LOOP}Loop._advance"),
    "reading losses": (5, f"{LOOP}Loop._read"),
    "evaluation": (2, "p2pkit.engine.evaluation.evaluator:Evaluator.__call__"),
    "checkpoint": (2, f"{LOOP}save_checkpoint"),
    "telling trackers": (2, f"{EVENTS}checkpointed"),
    "end": (1, f"{EVENTS}ended"),
}
IN_CI = (1, "checkpoint")
SENTENCE = re.compile(r"another process of this run (does not answer|has failed)|^stopped by SIGTERM$", re.MULTILINE)


@pytest.fixture
def killed(torchrun, tiny, mlflow_here):
    """Train in two processes, one of which is killed at a place; returns torchrun's code and what was said."""
    config = {
        **tiny,
        "engine": {"batch": 2, "log_every": 1, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "samples": 2, "every": 1, "baselines": False},
        "checkpoint": {"every": 1},
        "schedule": {"epochs": 3},
        "tracking": {"name": "run"},
    }
    start, finish = torchrun
    (mlflow_here / "run.yaml").write_text(yaml.safe_dump(config))
    (mlflow_here / "registry.yaml").write_text("{}\n")

    def train(what, rank, place, **options):
        time, name = PLACES[place]
        command = ["-m", "p2pkit", "train", *what, "--plugin", KILLER, "--registry", "registry.yaml"]
        own = {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"], "P2PKIT_TEST_KILL": f"{rank} {time} {name}"}
        return finish(start(mlflow_here, *command, **own, **options))

    return train


def _when(rank, place):
    """Each of them takes two processes that import torch: one is enough for every change."""
    return pytest.mark.slow if (rank, place) == IN_CI else pytest.mark.long


@pytest.mark.parametrize(
    ("rank", "place"),
    [pytest.param(rank, place, marks=_when(rank, place)) for place in PLACES for rank in (0, 1)],
)
def test_a_killed_process_ends_the_other_with_a_sentence(killed, tmp_path, rank, place):
    code, said = killed(["run.yaml"], rank, place)
    assert code == 1
    assert re.findall(r"exitcode +: (-?\d+)", said).count("-9") == 1
    assert SENTENCE.search(said) or place == "end"  # where the other one has done all that it had to do
    assert "Traceback" not in said.partition("torch/distributed/")[0]
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    if rank == 1:
        assert [run.info.status for run in client.search_runs(["0", "1"])] in ([], ["FAILED"], ["KILLED"])
    if place == "checkpoint":
        assert find_checkpoint(tmp_path / "runs" / "run", training=True).name == "step-00000003"


@pytest.mark.long
def test_a_run_of_which_one_process_was_killed_goes_on(killed, tmp_path):
    killed(["run.yaml"], 1, "checkpoint")
    code, said = killed(["--resume", "runs/run"], 7, "end")  # there is no such process
    assert (code, "error" in said) == (0, False)
    assert find_checkpoint(tmp_path / "runs" / "run", training=True).name == "step-00000009"


@pytest.mark.long
def test_torchrun_lets_both_go_on_where_one_was_killed(killed, tmp_path):
    """The store that it keeps for them is full of what the first two wrote."""
    how = ("--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    code, said = killed(["run.yaml", "--go-on"], 1, "step", how=how)
    assert code == 0, said
    assert len(SENTENCE.findall(said)) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]
    assert find_checkpoint(tmp_path / "runs" / "run", training=True).name == "step-00000009"


@pytest.mark.long
def test_where_a_machine_is_lost_the_others_go_on_by_themselves(torchrun, tiny, mlflow_here):
    """Two machines of a process each, of which the second is killed with its torchrun; the first begins again alone."""
    start, finish = torchrun
    config = {
        **tiny,
        "augment": [{"use": "noted", "params": {"to": "seen"}}],
        "engine": {"batch": 2, "global_batch": 4, "log_every": 1, "device": "cpu"},
        "evaluate": {"metrics": ["l1"], "samples": 2, "every": 0, "baselines": False},
        "health": {"gradient_shares": 0},  # which are measured on a batch more
        "checkpoint": {"every": 1},
        "schedule": {"epochs": 3},
        "tracking": {"name": "run"},
    }
    (mlflow_here / "run.yaml").write_text(yaml.safe_dump(config))
    (mlflow_here / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    patience = "join_timeout=60,last_call_timeout=20,keep_alive_interval=1,keep_alive_max_attempt=3"
    how = ["--nnodes", "1:2", "--nproc-per-node", 1, "--max-restarts", 2, "--rdzv-id", "run", "--rdzv-backend", "c10d"]
    how += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-conf", patience]
    command = ["-m", "p2pkit", "train", "run.yaml", "--go-on", "--registry", "registry.yaml"]
    command += ["--plugin", KILLER, "--plugin", DEEDS]
    lost = {"P2PKIT_TEST_KILL": f"1 5 {LOOP}Loop._advance", "P2PKIT_TEST_MACHINE": "1"}
    first = start(mlflow_here, *command, how=how, **lost)
    while first.poll() is None and not _listens(port):  # who comes first keeps what both write
        time.sleep(0.2)
    second = start(mlflow_here, *command, how=how, **lost)
    second.communicate(timeout=150)
    assert second.returncode == -9
    code, said = finish(first)
    assert code == 0, said
    assert "--max-restarts" not in said
    state = read_state(find_checkpoint(mlflow_here / "runs" / "run", training=True))
    assert state["position"] == {"step": 9, "epoch": 3, "batches": 0}
    dealt = [(mlflow_here / f"seen-{name}.txt").read_text().splitlines() for name in ("0-0", "0-1", "1-0")]
    before, after = list(zip(*dealt[:2], strict=False)), list(zip(dealt[2][::2], dealt[2][1::2], strict=True))
    assert (len(before), len(after)) == (5, 6)  # it was killed in the fifth step, and the checkpoint is of the third
    assert after[:2] == before[3:]


def _listens(port):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
