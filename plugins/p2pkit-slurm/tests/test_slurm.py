"""Slurm as an executor: by submitit's processes of this machine, and by scripts that stand for Slurm's programs."""

from __future__ import annotations

import os
import tempfile

import p2pkit
import pytest
from p2pkit.testing import conformance
from p2pkit.testing.works import piece

from p2pkit_slurm import Slurm, jobs

NONE = p2pkit.Resources(gpus=0)
_FOLDER = tempfile.TemporaryDirectory(prefix="p2pkit-slurm-")
TestSlurm = conformance("slurm", examples={"slurm": {"cluster": "local", "folder": _FOLDER.name}})

# A job begins at once, and its script is kept; srun leaves its options out.
PROGRAMS = {
    "sbatch": 'cp "$1" asked; SLURM_JOB_ID=7 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 '
    'SLURM_JOB_NUM_NODES=1 bash "$1" >printed 2>&1 & echo "Submitted batch job 7"',
    "srun": """while [ "${1#-}" != "$1" ]; do
      case "$1" in --*=*|--unbuffered) shift;; *) shift 2;; esac
    done; exec "$@\"""",
    "sinfo": "echo gpu:a100:4",
    "squeue": 'echo "7|RUNNING|here"',
    "scancel": "true",
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put programs in the place of Slurm's, and work in a folder of its own."""

    def put(**programs: str) -> None:
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    put(**PROGRAMS)
    return put


def test_a_job_asks_for_what_the_work_needs_and_brings_its_result_back(slurm, tmp_path):
    executor, heard = Slurm(partition="long", minutes=30, more={"account": "art"}), []
    future = executor.submit(piece("add", numbers=[1, 2]), p2pkit.Resources(cpus=2, memory=4), heard.append)
    try:
        assert future.result(60) == {"value": 3}
    except Exception:
        print((tmp_path / "printed").read_text())
        raise
    executor.close()
    assert (tmp_path / "slurm").stat().st_mode & 0o077 == 0
    assert [each["number"] for each in heard] == [1, 2]
    asked = (tmp_path / "asked").read_text()
    for option in ("partition=long", "time=30", "cpus-per-task=2", "gpus-per-node=1", "mem=4GB", "account=art"):
        assert f"#SBATCH --{option}\n" in asked


@pytest.mark.parametrize("squeue", ["echo '7|CANCELLED|here'", "true"])
def test_a_job_that_slurm_has_ended_or_forgotten_is_lost(slurm, squeue, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.5)
    slurm(sbatch='echo "Submitted batch job 7"', squeue="echo '7|CONFIGURING|'", sinfo="true")
    executor = Slurm()
    future = executor.submit(piece("add", numbers=[1]), NONE, print)
    with pytest.raises(TimeoutError):
        future.result(2)
    slurm(squeue=squeue)
    assert "job 7 has ended as " in str(future.exception(30))
    executor.close()


def test_what_slurm_says_no_to_is_told(slurm):
    slurm(sbatch='echo "sbatch: error: invalid partition specified: long" >&2; exit 1')
    executor = Slurm(partition="long")
    with pytest.raises(p2pkit.P2pkitError, match=r"executor: Slurm doesn't take the job: .*invalid partition"):
        executor.submit(piece("add", numbers=[1]), NONE, print)
    executor.close()


def test_what_no_node_has_is_told_before_there_is_work(slurm, tmp_path):
    slurm(
        sbatch='echo "$@" >tried; echo "allocation failure: Requested node configuration is not available" >&2; exit 1'
    )
    executor = Slurm(partition="long", more={"mail_type": "END"})
    with pytest.raises(p2pkit.P2pkitError, match="executor: Slurm doesn't take the job: allocation failure: Requested"):
        executor.require(p2pkit.Resources(cpus=200, memory=1.5))
    tried = "--test-only --cpus-per-task=200 --time=240 --mail-type=END --gpus-per-node=1 --partition=long --mem=1536M"
    assert (tmp_path / "tried").read_text() == f"{tried} --wrap=true\n"
    assert not (tmp_path / "slurm").exists()
    slurm(sbatch="exit 0")
    executor.require(NONE)
    executor.close()


def test_without_slurm_and_with_a_share_of_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(p2pkit.P2pkitError, match="there is no sbatch on this machine"):
        Slurm().require(NONE)
    with pytest.raises(p2pkit.P2pkitError, match="there is no sbatch on this machine"):
        Slurm().submit(piece("add", numbers=[1]), NONE, print)
    with pytest.raises(p2pkit.DeviceError, match=r"executor\.gpus: asks for 0\.5"):
        Slurm(cluster="local").submit(piece("add", numbers=[1]), p2pkit.Resources(gpus=0.5), print)
