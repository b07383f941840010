"""MLflow's interface as a user sees it who follows the addresses that p2pkit prints."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from p2pkit.mlflow_store import Addresses

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
PATIENCE = 180.0
POINTS = [(weight, seed) for weight in (1, 10, 100) for seed in (0, 1)]
FOLDERS = [f"l1.weight={weight}_seed={seed}" for weight, seed in POINTS]
NAMES = [f"l1 {weight} seed {seed}" for weight, seed in POINTS]
LOADED = """
return [...document.querySelectorAll("img[src*='get-artifact']")].filter(i => i.complete && i.naturalWidth > 0).length
"""
AXES = "return [...document.querySelectorAll('svg text')].map(each => each.textContent.trim())"


def await_(found, what: str):
    """Wait until something is found on the page, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(0.2)
    raise AssertionError(f"never seen: {what}")


def visit(browser, address: str) -> None:
    """Go to a page as a user does who has closed MLflow's assistant, which opens itself once."""
    base, _, page = address.partition("/#/")
    browser.get(f"{base}/#/settings")
    await_(lambda: "MLflow" in browser.title, "the interface")
    browser.execute_script(
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
        "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')"
    )
    browser.get("about:blank")
    browser.get(f"{base}/#/{page}")


def text(browser) -> str:
    return browser.execute_script("return document.body ? document.body.innerText : ''")


def scroll_to(browser, section: str) -> None:
    """Bring a section of charts to the top; what lies outside of the window is not drawn."""
    headers = "[...document.querySelectorAll('[data-testid=experiment-view-compare-runs-section-header]')]"
    found = f"{headers}.find(each => each.textContent.trim().startsWith({section!r}))"
    await_(lambda: browser.execute_script(f"const found = {found}; found?.scrollIntoView(); return !!found"), section)


def await_texts(browser, *wanted: str) -> None:
    for each in wanted:
        await_(lambda each=each: each in text(browser), each)


def photograph(browser, name: str) -> None:
    """Leave a small picture of the page, where a folder for pictures is named."""
    folder = os.environ.get("P2PKIT_SCREENSHOTS")
    if folder is None:
        return
    time.sleep(3)  # charts grow into place
    file = Path(folder) / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(file))
    with Image.open(file) as picture:
        small = picture.convert("RGB").resize(
            (1200, round(1200 * picture.height / picture.width)), Image.Resampling.LANCZOS
        )
        small.save(file.with_suffix(".webp"), quality=82, method=6)
    file.unlink()


def address_of(address: str) -> Addresses:
    base, _, page = address.partition("/#/experiments/")
    return Addresses(base, page.partition("/")[0], "weights")


def lines_of(swept: Path, axes: set[str]) -> int:
    """Count the runs of which MLflow draws a line: those that have a value on every axis."""
    store = MlflowClient(tracking_uri=f"sqlite:///{swept}/mlflow.db")
    experiment = store.get_experiment_by_name("weights").experiment_id
    data = [run.data for run in store.search_runs([experiment], "tags.`p2pkit.kind` = 'training'")]
    named = {name for each in data for name in (*each.params, *each.metrics)} & axes
    return sum(named <= {*each.params, *each.metrics} for each in data)


def test_a_sweep_is_seen_by_what_differs(printed, ui, browser, swept) -> None:
    assert ui("weights") == printed
    visit(browser, printed)
    await_texts(browser, *NAMES, "what differs", "losses.l1.weight vs. val/l1")
    await_(lambda: {"losses.l1.weight", "val/l1"} <= set(browser.execute_script(AXES)), "axes of the parallel plot")
    await_texts(browser, "6 matching runs")
    axes = set(browser.execute_script(AXES))
    assert lines_of(swept, axes) == len(NAMES)
    assert not [axis for axis in axes if axis.startswith(("health/", "val/variety"))]
    photograph(browser, "weights-charts")
    scroll_to(browser, "samples")
    await_(lambda: browser.execute_script(LOADED) >= len(NAMES), "a sample picture of each run")
    photograph(browser, "weights-samples")


def test_its_runs_are_listed_with_what_differs_and_their_scores(ui, browser) -> None:
    address = ui("weights")
    visit(browser, address.replace("&compareRunsMode=CHART", ""))
    await_texts(browser, *NAMES, "6 matching runs", "losses.l1.weight", "val/l1", "val/psnr")
    photograph(browser, "weights-table")


def test_the_compare_page_has_the_weight_on_an_axis(ui, browser, swept) -> None:
    ids = [(swept / "runs" / "weights" / name / "mlflow.id").read_text().strip() for name in FOLDERS]
    address = ui()
    visit(browser, address_of(address).compare(ids))
    await_texts(browser, "Comparing 6 Runs from 1 Experiment", "Parallel Coordinates Plot")
    await_(lambda: "losses.l1.weight" in browser.execute_script(AXES), "the weight on an axis")
    assert [axis for axis in browser.execute_script(AXES) if axis.startswith("val/")]
    photograph(browser, "weights-compare")


def test_a_run_shows_its_samples_and_scores(ui, browser) -> None:
    address = ui(f"weights/{FOLDERS[-1]}")
    visit(browser, address)
    await_texts(browser, NAMES[-1], "1 matching run", "samples", "val/l1")
    assert NAMES[0] not in text(browser)
    scroll_to(browser, "samples")
    assert await_(lambda: browser.execute_script(LOADED), "sample pictures") >= 2


def test_a_run_s_page_has_its_parameters(ui, browser, swept) -> None:
    run_id = (swept / "runs" / "weights" / FOLDERS[0] / "mlflow.id").read_text().strip()
    address = ui()
    visit(browser, address_of(address).run(run_id))
    await_texts(browser, NAMES[0], "p2pkit.sweep", "losses.l1.weight", "Finished", "better by")
    await_(lambda: browser.execute_script(LOADED), "the sheet in the description")
    photograph(browser, "weights-run")


def test_seeds_are_seen_as_their_mean(ui, browser) -> None:
    address = ui("weights")
    visit(browser, f"{address}-means")
    await_texts(browser, "Group: 1", "Group: 10", "Group: 100")
    await_(lambda: {"losses.l1.weight", "val/l1"} <= set(browser.execute_script(AXES)), "axes of the parallel plot")
