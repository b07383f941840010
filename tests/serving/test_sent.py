"""What stands beside an image in a request."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from p2pkit.serving.models import Served


@pytest.fixture
def ask(translator, served):
    """Send JSON to a server of it."""
    with served({"first": Served("first", translator)}) as client:
        yield lambda held, query="": client.translate(json.dumps(held).encode(), query, "application/json")


@pytest.fixture(scope="module")
def depth():
    return np.full((21, 34, 1), 30, np.uint8)


def base64_of(array):
    buffer = io.BytesIO()
    Image.fromarray(array.squeeze()).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_fake_is_that_of_translate(translator, ask, drawing, depth):
    held = {"source": f"data:image/png;base64,{base64_of(drawing)}", "depth": base64_of(depth)}
    for season, age in (("summer", {}), (0, {"age": [3.5]})):
        got = ask({**held, "season": season, **age})
        np.testing.assert_array_equal(got.array, translator.translate(drawing, season=season, depth=depth, **age))
    one, other, again = (ask({**held, "season": 1}, f"?seed={seed}").array for seed in (7, 8, 7))
    assert (one != other).any()
    np.testing.assert_array_equal(one, again)
    fixed = ask({**held, "season": 1, "z": [0, 0, 0]})
    np.testing.assert_array_equal(fixed.array, translator.translate(drawing, season=1, depth=depth, z=[0, 0, 0]))


WRONG = [
    ({"depth": None}, "body.depth", "is missing"),
    ({"depth": "/etc/hostname"}, "body.depth", "is no image in base64"),
    ({"source": 3}, "body.source", "is no image in base64"),
    ({"season": "autumn"}, "season", "one of winter, summer"),
    ({"season": None}, "season", "is no class"),
    ({"z": [1, 2]}, "z", "is not 3 numbers"),
    ({"age": 10**400}, "age", "is no list of numbers"),
    ({"hue": 1}, "hue", "takes no such thing"),
]


def test_what_is_wrong_is_told_by_name(ask, drawing, depth):
    held = {"source": base64_of(drawing), "depth": base64_of(depth), "season": 0}
    for changes, where, detail in WRONG:
        got = ask({**held, **changes})
        assert (got.status, got.json["where"]) == (400, where), changes
        assert detail in got.json["detail"]
    for body in ([], "text", 3):
        assert ask(body).json["where"] == "body"


def test_a_source_is_shown_without_what_stands_beside_it(translator, served, drawing):
    sent = {"source": base64_of(drawing)}
    with served({"first": Served("first", translator)}) as client:
        for body, kind in (
            (json.dumps(sent).encode(), "application/json"),
            (base64.b64decode(sent["source"]), "image/png"),
        ):
            shown = client.ask("POST", "/models/first/source", body, content_type=kind)
            np.testing.assert_array_equal(shown.array, drawing)


def test_a_model_says_what_it_takes(translator):
    beside = Served("first", translator).about()["beside"]
    assert {name: about["needed"] for name, about in beside.items()} == {
        "age": False, "depth": True, "season": True, "z": False
    }  # fmt: skip
    assert (beside["season"]["names"], beside["season"]["text"]) == (("winter", "summer"), "one of winter, summer")
    assert (beside["depth"]["kind"], beside["z"]["kind"], beside["z"]["size"]) == ("intensity", "noise", 3)
