"""The page to draw on, as who draws on it sees it."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
import torch
from addresses import laid_here, served, served_here, static
from PIL import Image
from torch import nn

import p2pkit
from p2pkit import ImageSpec, VectorSpec
from p2pkit.serving import load_models

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PATIENCE = 120.0
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-dev-shm-usage "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)
ANSWERS = "return [...document.querySelectorAll('article')].map(card => Number(card.dataset.answers ?? 0))"
PICTURES = "return [...document.querySelectorAll('#drawing, article > canvas')].map(each => each.toDataURL())"


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory) -> Path:
    """A run of a few steps."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "registry.yaml").write_text("plugins: {block: [p2pkit.mlflow]}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return p2pkit.train({**tiny, "schedule": {"steps": 8}}).folder.resolve()


@pytest.fixture(scope="module", params=[served, static], ids=["served", "static"])
def page(request, run, tmp_path_factory, warm):
    """Chromium on the page; it keeps what it is given in a folder, has a camera, and may ask nobody else."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *FLAGS.split(),
        "--window-size=1440,1000",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    saved = tmp_path_factory.mktemp("saved")
    options.add_experimental_option("prefs", {"download.default_directory": str(saved)})
    with request.param(run, warm) as address:
        browser = Chrome(options=options, service=Service(driver))
        try:
            browser.saved, browser.address = saved, address
            visit(browser, address)
            yield browser
            assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        finally:
            browser.quit()


def visit(browser, address: str, answers: list[int] | None = None) -> None:
    """Open the page, and wait for the first answers of all its models."""
    browser.get(address)
    await_(lambda: browser.execute_script("return document.body.dataset.ready"))
    answered(browser, answers or [0, 0])


def await_(found):
    deadline = time.monotonic() + PATIENCE
    while not (got := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return got


def answered(page, before: list[int]) -> list[int]:
    """Wait until all models have answered again, and none is being asked."""
    await_(
        lambda: (
            all(now > then for now, then in zip(page.execute_script(ANSWERS), before, strict=True))
            and not page.execute_script("return document.querySelectorAll('.waiting').length")
        )
    )
    return page.execute_script(ANSWERS)


def stroke(page) -> None:
    """Draw across the sheet, by a real pointer."""
    from selenium.webdriver import ActionChains

    sheet = page.find_element("id", "drawing")
    left, top = -sheet.size["width"] // 3, -sheet.size["height"] // 3
    acts = ActionChains(page, duration=20).move_to_element_with_offset(sheet, left, top).click_and_hold()
    acts.move_to_element_with_offset(sheet, -left, -top).release().perform()


def test_a_stroke_changes_what_two_models_make_and_undo_takes_it_back(page):
    answers, before = page.execute_script(ANSWERS), page.execute_script(PICTURES)
    assert len(before) == 3
    stroke(page)
    answers, drawn = answered(page, answers), page.execute_script(PICTURES)
    assert [new != old for new, old in zip(drawn, before, strict=True)] == [True] * 3
    assert drawn[1] == drawn[2]
    page.find_element("id", "undo").click()
    answers = answered(page, answers)
    assert page.execute_script(PICTURES) == before
    page.find_element("id", "redo").click()
    answered(page, answers)
    assert page.execute_script(PICTURES) == drawn


def test_keys_choose_tools_and_go_back(page):
    from selenium.webdriver import ActionChains, Keys

    def pressed(keys: str) -> str:
        ActionChains(page).send_keys(keys).perform()
        return page.execute_script("return document.querySelector('[data-tool][aria-checked=true]').dataset.tool")

    assert [pressed(key) for key in "efb"] == ["eraser", "fill", "pen"]
    size = page.execute_script("return Number(document.getElementById('size').value)")
    pressed("]]")
    assert page.execute_script("return Number(document.getElementById('size').value)") == size + 2
    before = page.execute_script(PICTURES)[0]
    stroke(page)
    assert page.execute_script(PICTURES)[0] != before
    ActionChains(page).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    assert page.execute_script(PICTURES)[0] == before


def test_what_a_model_made_is_saved(page):
    page.find_element("css selector", "article button").click()
    file = await_(lambda: list(page.saved.glob("*.png")))[0]
    assert file.name == "one.png"
    with Image.open(file) as fake:
        assert fake.size == (16, 16)


def test_two_are_compared_and_one_is_left_out(page):
    from selenium.webdriver import ActionChains

    slider = page.find_element("id", "split")
    ActionChains(page).drag_and_drop_by_offset(slider, 60, 0).perform()
    share = float(page.execute_script("return document.getElementById('line').style.left").rstrip("%"))
    assert share > 50
    assert re.search(r"inset\(0", page.execute_script("return document.getElementById('over').style.clipPath"))
    page.find_element("css selector", "#choice button").click()
    assert not page.find_element("id", "compare").is_displayed()
    page.find_element("css selector", "#choice button").click()
    assert page.find_element("id", "compare").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(page, scheme):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        wide = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide == [390, 390]
        unnamed = """
        return [...document.querySelectorAll('button, input, select, canvas[tabindex]')].filter(each => !each.hidden
          && !each.getAttribute('aria-label') && !each.innerText.trim() && !each.labels?.length).length
        """
        assert page.execute_script(unnamed) == 0
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


PICTURE = """
const sheet = new OffscreenCanvas(40, 20);
const context = sheet.getContext("2d");
context.fillStyle = "#3b7dd8";
context.fillRect(0, 0, 40, 20);
const transfer = new DataTransfer();
const done = arguments[arguments.length - 1];
sheet.convertToBlob().then((blob) => {
  transfer.items.add(new File([blob], "picture.png", { type: "image/png" }));
  document.dispatchEvent(arguments[0] === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer })
    : new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
  done();
});
"""
SEEN = """
const sheet = document.getElementById("drawing");
const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
return [...Array(data.length / 4).keys()].map((at) => data.subarray(at * 4, at * 4 + 3).join(","));
"""
MIDDLE = "return [...document.getElementById('drawing').getContext('2d').getImageData(8, 8, 1, 1).data]"


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_laid_on_the_sheet(page, way):
    answers = page.execute_script(ANSWERS)
    page.find_element("id", "clear").click()
    answers = answered(page, answers)
    page.execute_async_script(PICTURE, way)
    answered(page, answers)
    assert page.execute_script(MIDDLE) == [59, 125, 216, 255]


def test_the_camera_gives_a_picture_or_none(page):
    page.find_element("id", "clear").click()
    for value, drawn in (("", False), ("take", True)):
        before = page.execute_script(PICTURES)[0]
        page.find_element("id", "photo").click()
        await_(lambda: page.execute_script("return document.getElementById('video').videoWidth"))
        page.find_element("css selector", f"dialog button[value='{value}']").click()
        if drawn:
            await_(lambda before=before: page.execute_script(PICTURES)[0] != before)
        await_(lambda: page.execute_script("return !document.getElementById('video').srcObject"))
        assert (page.execute_script(PICTURES)[0] != before) == drawn


def test_an_area_is_filled_and_the_keyboard_draws(page):
    from selenium.webdriver import ActionChains, Keys

    page.find_element("id", "clear").click()
    sheet = page.find_element("id", "drawing")
    page.execute_script("arguments[0].focus()", sheet)
    ActionChains(page).send_keys("b ").send_keys(Keys.ARROW_RIGHT * 3).send_keys(" ").perform()
    drawn = page.execute_script(PICTURES)[0]
    row = "return [...document.getElementById('drawing').getContext('2d').getImageData(8, 8, 3, 1).data]"
    assert page.execute_script(row) == [0, 0, 0, 255] * 3
    page.find_element("id", "undo").click()
    assert page.execute_script(MIDDLE) == [255, 255, 255, 255]
    page.find_element("id", "redo").click()
    assert page.execute_script(PICTURES)[0] == drawn
    page.find_element("css selector", "[data-colour='#d0342c']").click()
    page.find_element("css selector", "[data-tool=fill]").click()
    ActionChains(page).move_to_element_with_offset(sheet, -sheet.size["width"] // 3, 0).click().perform()
    corner = "return [...document.getElementById('drawing').getContext('2d').getImageData(0, 0, 1, 1).data]"
    assert page.execute_script(corner) == [208, 52, 44, 255]
    assert page.execute_script(row) == [0, 0, 0, 255] * 3
    page.find_element("css selector", "[data-tool=pen]").click()


def test_a_link_holds_the_drawing_and_the_page_asks_nobody_else(page):
    stroke(page)
    drawn = page.execute_script(PICTURES)[0]
    page.find_element("id", "share").click()
    await_(lambda: "#drawing=" in page.current_url)
    address = page.current_url
    page.get("about:blank")
    visit(page, address)
    assert page.execute_script(PICTURES)[0] == drawn
    asked = page.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert len(asked) > 8
    assert {name for name in asked if not name.startswith(page.address.rstrip("/"))} == set()


@pytest.mark.parametrize("page", [served], ids=["served"], indirect=True)
def test_label_maps_have_a_brush_for_each_class(page, run):
    (model,) = load_models([f"labels={run}"], device="cpu").values()
    colours = ((0, 0, 0), (200, 30, 30), (30, 30, 200))
    images = replace(model.translator.images, source=ImageSpec(3, "labels", palette=colours))
    labels = replace(model, translator=replace(model.translator, images=images), samples=())
    with served_here(labels) as address:
        visit(page, address, [0])
        brushes = page.find_elements("css selector", "#colours button")
        assert [brush.text for brush in brushes] == ["Class 0", "Class 1", "Class 2"]
        before, answers = page.execute_script(PICTURES), page.execute_script(ANSWERS)
        brushes[2].click()
        stroke(page)
        answered(page, answers)
        assert all(new != old for new, old in zip(page.execute_script(PICTURES), before, strict=True))
        assert set(page.execute_script(SEEN)) == {"0,0,0", "30,30,200"}  # none is mixed from two
        visit(page, page.address)


class Tinted(nn.Module):
    """Darkens its images by a class and by numbers, and stirs them by noise."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, images, *, season, z, age):
        shift = 0.2 * z - season[:, 1:] - age.sum(1, keepdim=True)
        return (images * self.factor + shift[..., None, None]).clamp(-1, 1)


def write_in(page, field: str, text: str) -> None:
    """Write a text into a field instead of what it holds, and leave it."""
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", field).send_keys(Keys.CONTROL, "a", Keys.NULL, text, Keys.TAB)


@pytest.mark.parametrize("page", [served], ids=["served"], indirect=True)
@pytest.mark.parametrize("here", [served_here, laid_here])
def test_what_a_model_takes_beside_the_drawing_has_a_control(page, run, here):
    from selenium.webdriver.support.select import Select

    (model,) = load_models([f"tinted={run}"], device="cpu").values()
    extras = {"season": VectorSpec(2, "class", ("summer", "winter")), "z": VectorSpec(1, "noise"), "age": VectorSpec(2)}
    images = replace(model.translator.images, extras=extras)
    tinted = replace(model, translator=replace(model.translator, generator=Tinted(), images=images), samples=())
    with here(tinted) as address:
        visit(page, address, [0])
        made = [page.execute_script(PICTURES)[1]]
        for change in (
            lambda: Select(page.find_element("css selector", ".beside select")).select_by_visible_text("winter"),
            page.find_element("css selector", ".beside button").click,
            partial(write_in, page, ".beside input", "0.5, 0.25"),
        ):
            answers = page.execute_script(ANSWERS)
            change()
            answered(page, answers)
            made.append(page.execute_script(PICTURES)[1])
        assert len(set(made)) == 4
        assert not page.find_elements("css selector", "article .wrong")
        answers = page.execute_script(ANSWERS)
        write_in(page, ".beside input", "0.5 much")
        answered(page, answers)
        assert page.find_element("css selector", "article .wrong").text.startswith("age: ")
        assert {entry["source"] for entry in page.get_log("browser")} <= {"network"}  # the server's refusal
        visit(page, page.address)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_find_their_way(page, scheme):
    axe = resources.files(pytest.importorskip("axe_core_python")).joinpath("axe.min.js").read_text(encoding="utf-8")
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.execute_script(axe)
    run = "axe.run().then(found => arguments[arguments.length - 1](found.violations))"
    found = page.execute_async_script(run)
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
