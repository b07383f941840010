"""The page's files: all that are named are there, and nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
from graphlib import TopologicalSorter

import pytest

from p2pkit.serving.pages import page_files
from p2pkit.serving.static import runtime_files

FILES = {name: content.decode() for name, (content, _) in page_files().items()}


def test_what_is_named_is_there(client):
    named = set(re.findall(r'["(](?:\./|/?page/)([\w.]+)"', "".join(FILES.values())))
    assert {"app.js", "page.css", "ort.js"} <= named
    assert named <= {*FILES, *runtime_files()}
    for name in ("app.js", "page.css", "strings.json"):
        assert client.ask("GET", f"/page/{name}").body.decode() == FILES[name]
    assert client.ask("GET", "/page/app.js").kind.startswith("text/javascript")


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_comes_from_elsewhere(name):
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)""", FILES[name])


def test_every_text_is_in_the_strings_and_each_is_used():
    strings = set(json.loads(FILES["strings.json"]))
    page = FILES["index.html"] + "".join(text for name, text in FILES.items() if name.endswith(".js"))
    used = set(re.findall(r'data-(?:text|label|title)="(\w+)"|say\("(\w+)"', page))
    assert {first or second for first, second in used} == strings


def test_no_module_imports_in_a_circle():
    modules = {
        name: set(re.findall(r'from "\./([\w.]+)"', text)) for name, text in FILES.items() if name.endswith(".js")
    }
    assert "elements.js" in modules["app.js"]
    TopologicalSorter(modules).prepare()  # raises where there is one
