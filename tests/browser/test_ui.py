"""MLflow's interface as a user sees it who follows the addresses that p2pkit prints."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from p2pkit.cli.tables import print_comparison
from p2pkit.compare import compare, find_runs
from p2pkit.mlflow_store import Addresses
from p2pkit.mlflow_ui.page import pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
PATIENCE = 180.0
PICTURES = "P2PKIT_SCREENSHOTS"
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "compare-loss-weights.md"
LOADED = """
return [...document.querySelectorAll("img[src*='get-artifact']")].filter(i => i.complete && i.naturalWidth > 0).length
"""
AXES = "return [...document.querySelectorAll('svg text')].map(each => each.textContent.trim())"
LINES = "return document.querySelector('canvas.foreground')?.strokes"
ROW = """
const rows = [...document.querySelectorAll("[role=row][row-index]")];
const own = rows.find(each => each.innerText.includes(arguments[0]))?.getAttribute("row-index");
return rows.filter(each => each.getAttribute("row-index") === own).map(each => each.innerText).join(" ");
"""
CUT = """
const name = arguments[0];
const hides = each => /hidden|clip/.test(getComputedStyle(each).overflowX);
const leaves = [...document.querySelectorAll("body *")].filter(each => !each.children.length);
const places = leaves.filter(each => each.textContent.trim() === name);
const cut = places.filter(place => {
  const range = document.createRange();
  range.selectNodeContents(place);
  const right = range.getBoundingClientRect().right;
  for (let around = place; around !== document.body; around = around.parentElement) {
    if (hides(around) && right > around.getBoundingClientRect().right + 1) return true;
    if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return false;
  }
  return false;
});
return [places.length, cut.length];
"""
ORDER = """
const [table, picture, words] = ["table", "img[src*='samples']", "p"].map(tag => document.querySelectorAll(tag));
const said = [...words].find(each => each.textContent.startsWith("Step "));
const follows = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
return Boolean(said) && picture.length > 0 && follows(table[0], picture[0]) && follows(picture[0], said);
"""


def await_(found, what: str):
    """Wait until something is found on the page, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(0.5)
    raise AssertionError(f"never seen: {what}")


def visit(browser, address: str) -> None:
    """Go to a page anew, also where only what follows the # is another."""
    browser.get("about:blank")
    browser.get(address)


def text(browser) -> str:
    return browser.execute_script("return document.body ? document.body.innerText : ''")


def scroll_to(browser, section: str) -> None:
    """Bring a section of charts to the top; what lies outside of the window is not drawn."""
    headers = "[...document.querySelectorAll('[data-testid=experiment-view-compare-runs-section-header]')]"
    found = f"{headers}.find(each => each.textContent.trim().startsWith({section!r}))"
    await_(lambda: browser.execute_script(f"const found = {found}; found?.scrollIntoView(); return !!found"), section)


def await_texts(browser, *wanted: str) -> None:
    missing = list(wanted)

    def complete() -> bool:
        seen = text(browser)
        missing[:] = [each for each in missing if each not in seen]
        return not missing

    await_(complete, ", ".join(wanted))


def photograph(browser, name: str) -> None:
    """Leave a small picture of the page, where a folder for pictures is named."""
    folder = os.environ.get(PICTURES)
    if folder is None:
        return
    time.sleep(5)  # charts grow into place
    file = Path(__file__).parents[2] / folder / f"{name}.png"  # a test may work elsewhere
    file.parent.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(file))
    with Image.open(file) as picture:
        small = picture.convert("RGB").resize(
            (1200, round(1200 * picture.height / picture.width)), Image.Resampling.LANCZOS
        )
        small.save(file.with_suffix(".webp"), quality=82, method=6)
    file.unlink()


@pytest.fixture
def page(ui, swept, monkeypatch):
    """Return the address that `p2pkit ui RUNS` would print with the server that runs."""
    monkeypatch.chdir(swept.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    base = ui.partition("/#/")[0]
    return lambda *runs: pages(runs, base=base)[0]


@pytest.fixture
def known(ui) -> Addresses:
    """Addresses of single runs."""
    base, _, where = ui.partition("/#/experiments/")
    return Addresses(base, where.partition("/")[0], "weights")


@pytest.fixture
def store(swept) -> MlflowClient:
    """A client of the store that is looked at."""
    return MlflowClient(tracking_uri=f"sqlite:///{swept.folder}/mlflow.db")


def test_a_sweep_is_seen_by_what_differs_and_its_samples_side_by_side(ui, browser, swept) -> None:
    visit(browser, ui)
    count = len(swept.names)
    score = f"{swept.keys[-1]} vs. val/l1"
    await_texts(browser, *swept.names, "what differs", score, f"{count} matching runs")
    wanted = {*swept.keys, "val/l1", "val/psnr"}
    await_(lambda: wanted <= set(browser.execute_script(AXES)), "axes of the parallel plot")
    assert not [axis for axis in browser.execute_script(AXES) if axis.startswith(("health/", "val/variety"))]
    assert await_(lambda: browser.execute_script(LINES), "lines of the parallel plot") == count >= 6
    for name in swept.names:
        places, cut = browser.execute_script(CUT, name)
        assert places >= 2, name  # in the list, and in legends
        assert not cut, name
    photograph(browser, "weights-charts")
    scroll_to(browser, "samples")
    await_(lambda: browser.execute_script(LOADED) >= count, "a sample picture of each run")
    assert [name for name in swept.names if browser.execute_script(CUT, name)[1]] == []
    photograph(browser, "weights-samples")


def test_the_terminal_shows_the_scores_that_mlflow_has(swept, store, monkeypatch, capsys) -> None:
    """Where pictures are made, the tutorial's table is written too."""
    monkeypatch.chdir(swept.folder)
    compared = compare(find_runs(["weights"]))
    print_comparison(compared)
    table = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
    scores = [store.get_run(swept.id(index)).data.metrics["val/l1"] for index in range(len(swept.names))]
    for seeds in zip(scores[::2], scores[1::2], strict=True):
        assert f"{sum(seeds) / 2:.4f} ± " in table
    if PICTURES in os.environ:
        before, command, after = TUTORIAL.read_text(encoding="utf-8").partition("p2pkit compare weights --html")
        written = re.sub(r"```text\n.*?\n```", lambda _: f"```text\n{table}\n```", after, count=1, flags=re.DOTALL)
        TUTORIAL.write_text(before + command + written, encoding="utf-8")


def test_all_trainings_are_listed_with_what_differs_and_their_scores(page, browser, swept, store) -> None:
    visit(browser, page().replace("&compareRunsMode=CHART", ""))
    await_texts(browser, *swept.names, f"{len(swept.names)} matching runs", *swept.keys, "val/l1", "val/psnr")
    experiment = store.get_experiment_by_name("weights").experiment_id
    assert len(store.search_runs([experiment])) > len(swept.names)  # the sweep's own is there, and not seen
    photograph(browser, "weights-table")


def test_the_compare_page_has_the_weight_on_an_axis(known, browser, swept) -> None:
    visit(browser, known.compare([swept.id(index) for index in range(len(swept.names))]))
    await_texts(browser, f"Comparing {len(swept.names)} Runs from 1 Experiment", "Parallel Coordinates Plot")
    await_(lambda: set(swept.keys) <= set(browser.execute_script(AXES)), "the weights on axes")
    await_(lambda: any(axis.startswith("val/") for axis in browser.execute_script(AXES)), "a score on an axis")
    photograph(browser, "weights-compare")


def test_the_page_of_one_run_shows_its_samples_and_scores(page, browser, swept) -> None:
    visit(browser, page(f"weights/{swept.folders[-1]}"))
    await_texts(browser, swept.names[-1], "1 matching run", "samples", "val/l1")
    assert swept.names[0] not in text(browser)
    scroll_to(browser, "samples")
    assert await_(lambda: browser.execute_script(LOADED), "sample pictures") >= 2


def test_a_run_begins_with_its_scores_a_picture_and_then_words(known, browser, swept) -> None:
    visit(browser, known.run(swept.id(len(swept.names) - 1)))
    await_texts(browser, swept.names[-1], "p2pkit.sweep", swept.keys[-1], "Finished", "better by", "System metrics")
    await_(lambda: browser.execute_script(LOADED), "the sheet in the description")
    assert browser.execute_script(ORDER)


def test_a_run_counts_the_models_of_the_checkpoints_that_are_kept(known, browser, swept, store) -> None:
    run_id = swept.id(len(swept.names) - 1)
    kept = store.search_logged_models([known.experiment_id], filter_string=f"tags.`p2pkit.run` = '{run_id}'")
    visit(browser, known.run(run_id))
    await_texts(browser, f"Logged models ({len(kept)})", *(model.name for model in kept))


def test_the_best_checkpoint_is_on_the_models_tab_with_its_score_and_data(known, browser, swept, store) -> None:
    data = next(
        one.dataset for one in store.get_run(swept.id(0)).inputs.dataset_inputs if one.dataset.name.endswith(" val")
    )
    order = {"field_name": "metrics.val/l1", "dataset_name": data.name, "dataset_digest": data.digest}
    best, *others = store.search_logged_models([known.experiment_id], order_by=[{**order, "ascending": True}])
    assert len(others) >= len(swept.names) - 1
    visit(browser, f"{known.base}/#/experiments/{known.experiment_id}/models?workflowType=machine_learning")
    await_texts(browser, *(model.name for model in (best, *others)), "val/l1", f"{data.name} (#{data.digest})")
    score = next(str(point.value) for point in best.metrics if point.key == "val/l1")
    await_(lambda: score in browser.execute_script(ROW, best.name), "the best score in the line of its checkpoint")


@pytest.mark.skipif(PICTURES in os.environ, reason="the tutorial registers no model")
def test_the_registered_model_has_its_champion(known, browser, swept, store) -> None:
    champion = store.get_model_version_by_alias("best of weights", "champion")
    run = swept.names[[swept.id(index) for index in range(len(swept.names))].index(champion.run_id)]
    visit(browser, f"{known.base}/#/models/best%20of%20weights/versions/{champion.version}")
    await_texts(browser, "champion", run)
    visit(browser, f"{known.base}/#/experiments/{known.experiment_id}/models/{champion.tags['p2pkit.model']}")
    await_texts(browser, "best of weights", f"v{champion.version}")


def test_seeds_are_seen_as_their_mean(ui, browser, swept) -> None:
    visit(browser, f"{ui}-means")
    await_texts(browser, *(f"Group: {weight}" for weight in swept.weights) if len(swept.keys) == 1 else "Group: ")
    wanted = {*swept.keys, "val/l1"}
    await_(lambda: wanted <= set(browser.execute_script(AXES)), "axes of the parallel plot")
    assert await_(lambda: browser.execute_script(LINES), "lines") == len(swept.names) // 2
