"""Commands that train and use models."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image


def test_an_image_goes_from_standard_input_to_standard_output(p2pkit, tiny, tmp_path, monkeypatch):
    assert p2pkit("train", tiny, "-s", "tracking.name=first", "-s", "evaluate.every=0", "--quiet").code == 0
    picture, pipe = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(picture, "PNG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(picture.getvalue())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
    assert p2pkit("translate", "first", "-", "-o", "-", "-q").code == 0
    with Image.open(io.BytesIO(pipe.getvalue())) as fake:
        assert (fake.format, fake.size) == ("PNG", (30, 20))
    assert p2pkit("translate", "first", "-", "x.png", "-o", "-", "-q").code == 2


def test_train_evaluate_translate_resume(p2pkit, tiny, tmp_path):
    trained = p2pkit("train", tiny, "-s", "tracking.name=first", "--quiet")
    assert trained.code == 0, trained.err
    assert re.search(r"l1 ↓ .*[+-]\d+\.\d%", trained.out)
    assert "runs/first/samples/step-00000002.png" in trained.out
    assert "runs/first/checkpoints/step-00000002" in trained.out
    assert "p2pkit ui" not in trained.out  # nothing was recorded in MLflow

    evaluated = p2pkit("evaluate", "first", "--split", "train", "-q")
    assert evaluated.code == 0, evaluated.err
    assert "8 pairs of split train" in evaluated.out

    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "in.png")
    translated = p2pkit("translate", "first", "in.png", "-o", "out", "-q")
    assert translated.code == 0, translated.err
    with Image.open(tmp_path / "out" / "in.png") as fake:
        assert fake.size == (30, 20)

    twice = p2pkit("translate", "first", "in.png", "-o", "out2", "--samples", "2", "-q")
    assert twice.code == 2
    assert "draws no noise" in twice.err
    impossible = p2pkit("translate", "first", "in.png", "-o", "out2", "--precision", "fp16", "--device", "cpu", "-q")
    assert impossible.code == 2
    assert "fp16 is of no use on a CPU" in impossible.err
    tiled = p2pkit("translate", "first", "in.png", "-o", "out3", "--tile", "16", "--overlap", "4")
    assert tiled.code == 0, tiled.err
    assert "where tiles overlap they differ by" in tiled.err

    resumed = p2pkit("train", "--resume", "first", "-s", "schedule.epochs=2", "-q")
    assert resumed.code == 0, resumed.err
    assert "runs/first/checkpoints/step-00000004" in resumed.out


def test_the_best_can_be_chosen_by_name(p2pkit, tiny):
    trained = p2pkit("train", tiny, "-s", "tracking.name=first", "-s", "checkpoint.best=l1", "--quiet")
    assert trained.code == 0, trained.err
    assert "best        runs/first/best/step-00000002" in trained.out
    evaluated = p2pkit("evaluate", "first@best", "-q")
    assert evaluated.code == 0, evaluated.err
    missing = p2pkit("check", tiny, "-s", "checkpoint.best=ssim2")
    assert missing.code == 2
    assert "checkpoint.best: 'ssim2' is not measured in this run" in missing.err


def test_progress_goes_to_standard_error_as_lines(p2pkit, tiny):
    trained = p2pkit("train", tiny)
    assert "reading train: 8" in trained.err
    assert re.search(r"epoch 1/1 +step 2/2 .*images/s", trained.err.replace("\n", " "))
    assert "step" not in trained.out.partition("samples")[0]


def test_check_says_what_would_be_done(p2pkit, tiny):
    checked = p2pkit("check", tiny)
    assert checked.code == 0
    assert "shapes: 8 train, 8 val" in checked.out
    assert "3 channels -> 3 channels, 16 x 16" in checked.out
    assert "1 x gan + 100 x l1" in checked.out
    assert not os.path.exists("runs")
    lone = p2pkit("check", tiny, "-s", "losses.gan=0")
    assert "none, since no term trains one" in lone.out


def test_all_mistakes_at_once_without_traceback(p2pkit, tiny):
    failed = p2pkit("train", tiny, "-s", "generator=unett", "-s", "losses.l1.wieght=3", "-s", "engine.batch=0")
    assert failed.code == 2
    assert failed.err.startswith("3 errors:")
    assert "generator.use: no generator is called 'unett'" in failed.err
    assert "did you mean unet" in failed.err
    assert "losses.l1.wieght: there is no key 'wieght' here" in failed.err
    assert "engine.batch: input should be greater than or equal to 1, got 0" in failed.err
    assert "Traceback" not in failed.err
    assert not os.path.exists("runs")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "facade"], "there is no recipe or file 'facade'"),
        (["train", "demo", "-s", "losses"], "not of the form key=value"),
        (["train", "demo", "--plugin", "gone.py"], "there is no such file"),
        (["train", "demo", "--registry", "gone.yaml"], "there is no such file"),
        (["evaluate", "gone"], "there is no run or checkpoint 'gone'"),
        (["train", "--resume", "gone"], "there is no run or checkpoint 'gone'"),
        (["translate", "gone", "a.png", "-o", "out"], "there is no run or checkpoint 'gone'"),
    ],
)
def test_wrong_input_is_an_error_for_users(p2pkit, arguments, text):
    failed = p2pkit(*arguments)
    assert failed.code == 2
    assert text in failed.err
    assert "->" in failed.err
    assert "Traceback" not in failed.err


def test_train_wants_a_config_or_a_run(p2pkit):
    assert p2pkit("train").code == 2
    assert p2pkit("train", "demo", "--resume", "x").code == 2


def test_one_file_plugin_trains(p2pkit, tiny, plugin):
    trained = p2pkit("train", tiny, "--plugin", plugin, "-s", "generator=line", "-q", "-s", "tracking.name=mine")
    assert trained.code == 0, trained.err
    assert p2pkit("evaluate", "mine", "-q").code == 0  # the run brings it along, and it was trained with here
    assert p2pkit("evaluate", "mine", "-q", "--plugin", plugin).code == 0


@pytest.mark.filterwarnings("default")
def test_quiet_shows_no_progress_but_warnings_and_what_came_of_the_run_a_line_each(p2pkit, tiny, tmp_path):
    plugin = tmp_path / "talking.py"
    plugin.write_text(
        "import p2pkit\n\n\n"
        "@p2pkit.hookimpl\ndef p2pkit_evaluated():\n    return 'half of it\\n  is missing'\n\n\n"
        "@p2pkit.hookimpl\ndef p2pkit_run_ended():\n    return p2pkit.Notice('registered as emoji')\n"
    )
    trained = p2pkit("train", tiny, "-q", "--plugin", plugin, "-s", "tracking.name=a")
    assert trained.code == 0
    assert trained.err.splitlines() == ["warning: half of it is missing", "registered as emoji"]
    again = p2pkit("train", "--resume", "a", "-q")
    assert "nothing was trained; give the run more: -s schedule.epochs=N" in again.err


def test_a_signal_saves_and_leaves(tmp_path, tiny):
    """From outside, as a shell or a scheduler does it."""
    (tmp_path / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    command = [sys.executable, "-m", "p2pkit", "train", tiny, "-s", "schedule.epochs=100000", "-s", "tracking.name=a"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs" / "a" / "run.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, err
    assert "go on with: p2pkit train --resume runs/a" in out
    assert len(list((tmp_path / "runs" / "a" / "checkpoints").glob("step-*"))) >= 1
    assert "Traceback" not in err


def test_evaluate_in_every_mode(p2pkit, tiny):
    p2pkit("train", tiny, "-s", "tracking.name=modes", "-q")
    shown = p2pkit("evaluate", "modes", "--modes", "--gap", "--keep", "l1", "-q")
    assert shown.code == 0, shown.err
    for word in ("recalibrated", "val", "train", "kept in the checkpoint"):
        assert word in shown.out
    assert p2pkit("evaluate", "modes", "--keep", "l1").code == 2


def test_where_work_runs_is_said_in_one_word(p2pkit, tmp_path):
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "in.png")
    on = ["--on", "local", "-s", "executor.params.processes=1", "--device", "cpu", "-q"]
    done = p2pkit("translate", "demo", "in.png", "-o", "out", *on)
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "in.png").is_file()
    assert "did you mean local" in p2pkit("translate", "demo", "in.png", "-o", "out", "--on", "locl").err
    assert "executors and addresses are for files" in p2pkit("translate", "demo", "in.png", "-o", "-", *on).err
