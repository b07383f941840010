"""`p2pkit list --html`: one page, whatever plugins say of themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

EVIL = """
    from typing import Annotated
    from pydantic import Field

    def swin(images, *, mode: Annotated[str, Field(description="</td><script>alert(1)</script>")] = "<b>&\\"'"):
        "Says <script>alert(2)</script> & $title."

    @p2pkit.hookimpl
    def p2pkit_generators():
        yield p2pkit.Generator("swin", swin)
"""
VOID = {"meta"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and refuses tags that don't match."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids |= {value for name, value in attributes if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(file) -> Reader:
    reader = Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_everything_is_on_the_page(p2pkit, plugin, tmp_path):
    assert p2pkit("list", "--html", "all.html", "--plugin", plugin).code == 0
    page = read(tmp_path / "all.html")
    listed = json.loads(p2pkit("list", "--json", "--plugin", plugin).out)
    assert {f"{entry['kind']}-{entry['name']}" for entry in listed} <= page.ids
    assert all(entry["summary"] in page.text for entry in listed)
    depth = next(p for p in json.loads(p2pkit("show", "unet", "--json").out)["parameters"] if p["name"] == "depth")
    assert depth["description"] in page.text
    assert "54,413,955 parameters" in page.text
    assert "Side of the filter." in page.text
    targets = {value[1:] for name, value in page.attributes if name == "href"}
    assert targets <= page.ids
    assert {"generator", "recipe"} <= targets


def test_it_needs_nothing_from_elsewhere(p2pkit, tmp_path):
    assert p2pkit("list", "--html", "all.html").code == 0
    page = read(tmp_path / "all.html")
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "onclick"} & {name for name, _ in page.attributes}
    assert "prefers-color-scheme: dark" in page.text


def test_what_a_plugin_says_is_text(p2pkit, install, tmp_path):
    install(EVIL)
    assert p2pkit("list", "generator", "--html", "all.html").code == 0
    page = read(tmp_path / "all.html")
    assert "script" not in page.tags
    assert "Says <script>alert(2)</script> & $title." in page.text
    assert "</td><script>alert(1)</script>" in page.text
    assert "<b>&\"'" in page.text
    assert "acme 1.2" in page.text


def test_a_kind_alone(p2pkit, tmp_path):
    assert p2pkit("list", "losses", "--html", "losses.html").out == "wrote losses.html\n"
    assert read(tmp_path / "losses.html").ids >= {"loss", "loss-l1"}
    assert "generator" not in read(tmp_path / "losses.html").ids


def test_a_page_that_can_not_be_written(p2pkit):
    Path("nowhere").write_text("a file")
    failed = p2pkit("list", "--html", "nowhere/all.html")
    assert failed.code == 2
    assert re.search(r"nowhere/all\.html: can't be written: (not a directory|file exists)", failed.err)


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(p2pkit, tmp_path, width):
    p2pkit("list", "--html", "all.html")
    page = tmp_path / "all.html"
    text = page.read_text().replace("<details ", "<details open ")
    probe = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"
    page.write_text(text + probe)
    command = ["chromium", "--headless", "--disable-gpu", f"--window-size={width},900", "--dump-dom", page.as_uri()]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found, _, window = dom.partition("<title>")[2].partition("</title>")[0].partition(" of ")
    assert int(found) <= int(window)
