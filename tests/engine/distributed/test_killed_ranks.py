"""One process of a run is killed, wherever it is: the other ends soon, with a sentence, and the run can go on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import mlflow
import pytest
import yaml

from p2pkit.engine.storage.find import find_checkpoint

KILLER = Path(__file__).with_name("killer.py")
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

    def train(what, rank, place):
        time, name = PLACES[place]
        command = ["-m", "p2pkit", "train", *what, "--plugin", KILLER, "--registry", "registry.yaml"]
        own = {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"], "P2PKIT_TEST_KILL": f"{rank} {time} {name}"}
        return finish(start(mlflow_here, *command, **own))

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
