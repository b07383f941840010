"""An evaluation on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from p2pkit import ModelError, Report, Samples
from p2pkit.engine.storage.evaluations import last_evaluation, load_evaluation, load_report, save_evaluation


@pytest.fixture
def saved(tmp_path):
    """Save an evaluation of a step; return its report and samples."""

    def save(step=4, split="val"):
        report = Report(split=split, count=3, metrics={"l1": 0.5, "psnr": float("inf")}, warnings=("few pairs",))
        dice = np.random.default_rng(step)
        pictures = tuple(dice.integers(0, 256, (4, 12, 3), dtype=np.uint8) for _ in range(11))
        sheet = tmp_path / "samples" / f"step-{step:08d}.png"
        sheet.parent.mkdir(exist_ok=True)
        Image.fromarray(pictures[0]).save(sheet)
        samples = Samples(tuple(f"pair {index}" for index in range(11)), pictures, sheet)
        save_evaluation(report, samples)
        return report, samples

    return save


def test_evaluation_files_keep_the_protocols(work):
    outcome = work().train()
    report, _ = load_evaluation(outcome.samples.sheet)
    assert report == outcome.report
    assert report.protocol_ids == outcome.report.protocol_ids


def test_what_was_saved_comes_back_in_order(saved):
    report, samples = saved()
    found, shown = load_evaluation(samples.sheet)
    assert found == report
    assert shown.names == samples.names
    assert shown.sheet == samples.sheet
    for picture, before in zip(shown.pictures, samples.pictures, strict=True):
        np.testing.assert_array_equal(picture, before)


def test_scores_can_be_read_without_pictures(saved):
    report, samples = saved()
    for file in samples.sheet.with_suffix("").iterdir():
        file.unlink()
    assert load_report(samples.sheet.with_suffix(".json")) == (report, samples.names)


def test_a_report_of_an_older_version_has_no_warnings(saved):
    _, samples = saved()
    file = samples.sheet.with_suffix(".json")
    data = json.loads(file.read_text())
    del data["report"]["warnings"]
    file.write_text(json.dumps(data))
    assert load_report(file)[0].warnings == ()


@pytest.mark.parametrize("text", [None, "{", "{}", "[]", '{"report": {"splt": "val"}, "names": []}', '{"report": {}}'])
def test_a_file_that_is_gone_or_damaged_is_named(saved, text):
    _, samples = saved()
    file = samples.sheet.with_suffix(".json")
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(ModelError, match="can't be read") as caught:
        load_report(file)
    assert caught.value.problems[0].path == str(file)


def test_a_damaged_picture_is_named(saved):
    _, samples = saved()
    (samples.sheet.with_suffix("") / "03.png").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="can't be read"):
        load_evaluation(samples.sheet)


def test_the_last_is_that_of_the_latest_step(saved, tmp_path):
    with pytest.raises(ModelError, match="has not been evaluated yet"):
        last_evaluation(tmp_path)
    for step in (100, 9, 20):
        saved(step)
    assert last_evaluation(tmp_path)[1].sheet.name == "step-00000100.png"
