"""Models whose generator takes more than a source: as a table's columns, with and without p2pkit, and over HTTP."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas
import pytest
import uvicorn
from PIL import Image

import p2pkit
from p2pkit.builtin.mlflow_tracker.model_folder import Contents, example, signature, write_model
from p2pkit.registry import load_registry

PLUGIN = """
import torch
from torch import nn


class Seasons:
    '''Random images beside which stand a season, a depth and an age.'''

    splits = ("train", "val")

    def __init__(self):
        season = p2pkit.VectorSpec(2, "class", ("winter", "summer"))
        extras = {"season": season, "depth": p2pkit.ImageSpec(1), "age": p2pkit.VectorSpec(1)}
        self.spec = p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 16, 16, extras=extras)

    def pairs(self, split):
        dice = torch.Generator().manual_seed(len(split))
        return [self._pair(f"{split}-{number}", number, dice) for number in range(4)]

    def _pair(self, name, number, dice):
        image = torch.randint(256, (3, 16, 16), generator=dice, dtype=torch.uint8)
        extras = {"season": torch.tensor(number % 2), "depth": image[:1].clone(), "age": torch.tensor([1.0])}
        return p2pkit.Pair(image, image, name, extras)


class Adds(nn.Module):
    '''The source where it is summer, else the depth; noise and age make it brighter.'''

    def __init__(self, images):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, source, season, depth, z, age=None):
        summer = season[:, 1].view(-1, 1, 1, 1)
        shown = source * summer + depth * (1 - summer)
        age = torch.zeros_like(z[:, :1]) if age is None else age
        return (0.5 * shown + 0.1 * (z.sum(1, keepdim=True) + age).tanh()[:, :, None, None]) * self.factor


@p2pkit.hookimpl
def p2pkit_datasets():
    yield p2pkit.Dataset("seasons", Seasons)


@p2pkit.hookimpl
def p2pkit_generators():
    yield p2pkit.Generator("adds", Adds)
"""
CONFIG = {
    "dataset": "acme:seasons",
    "generator": "acme:adds",
    "noise": {"z": 3},
    "losses": {"l1": 1},
    "schedule": {"steps": 1},
    "engine": {"batch": 2, "device": "cpu"},
    "evaluate": {"metrics": ["l1"], "samples": 1},
    "tracking": {"trackers": {"mlflow": False}},
}
WITHOUT_P2PKIT = """
import importlib.abc, pickle, sys

class Nowhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "p2pkit":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nowhere())
for name in [name for name in sys.modules if name.partition(".")[0] == "p2pkit"]:  # this is a fork that has it
    del sys.modules[name]
import json, mlflow, numpy as np, pandas
model = mlflow.pyfunc.load_model({folder!r})
table = pandas.read_json({table!r})
np.save("made.npy", np.stack([np.asarray(fake) for fake in model.predict(table, params={{"seed": 3}})]))
try:
    model.predict(table.drop(columns="age"))
except Exception as error:
    print(error)
assert not [name for name in sys.modules if name.partition(".")[0] == "p2pkit"]
"""
IMAGE = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
DEPTH = 255 - IMAGE[..., :1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model of a run, as MLflow has it, and the run."""
    home = tmp_path_factory.mktemp("extras")
    (home / "acme.py").write_text(f"import p2pkit\n{PLUGIN}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        run = p2pkit.train(CONFIG, registry=load_registry(plugin_files=["acme.py"], discover=False))
        contents = Contents(run.checkpoint, p2pkit.load(run.checkpoint, device="cpu").images, [])
        assert write_model(home / "model", contents) == ""
    return home / "model", home / run.folder


@pytest.fixture(scope="module")
def model(folder: Any) -> Any:
    return mlflow.pyfunc.load_model(str(folder[0]))


@pytest.fixture(scope="module")
def translator(folder: Any) -> p2pkit.Translator:
    loaded: p2pkit.Translator = p2pkit.load(folder[1], device="cpu")
    return loaded


@pytest.fixture(scope="module")
def ask(model: Any) -> Any:
    """Send JSON to MLflow's server of the model; status and answer come back."""
    from mlflow.pyfunc import scoring_server  # which warns when it is imported; by now it has been

    config = uvicorn.Config(scoring_server.init(model), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]

    def send(body: Any) -> tuple[int, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("POST", "/invocations", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    yield send
    server.should_exit = True
    thread.join()


def text(array: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(array.squeeze()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pixels(answer: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer))))


def test_a_row_is_what_translate_makes_of_it(model: Any, translator: p2pkit.Translator) -> None:
    summer = {"source": text(IMAGE), "season": "summer", "depth": text(DEPTH)}
    wanted = translator.translate(IMAGE, season="summer", depth=DEPTH)
    np.testing.assert_array_equal(pixels(model.predict(pandas.DataFrame([summer]))[0]), wanted)
    rows = [summer, {**summer, "season": 0, "age": 2.5}, {**summer, "z": [0.0, 1.0, -1.0]}]
    one, two, three = map(pixels, model.predict(pandas.DataFrame(rows)))
    np.testing.assert_array_equal(one, wanted)
    np.testing.assert_array_equal(two, translator.translate(IMAGE, season="winter", depth=DEPTH, age=2.5))
    np.testing.assert_array_equal(three, translator.translate(IMAGE, season=1, depth=DEPTH, z=[0, 1, -1]))
    (array,) = model.predict(pandas.DataFrame({"source": [IMAGE], "season": ["summer"], "depth": [DEPTH]}))
    np.testing.assert_array_equal(array, wanted)
    (other,) = model.predict(pandas.DataFrame([summer]), params={"seed": 3})
    assert (pixels(other) != wanted).any()


def test_what_is_missing_or_wrong_is_told(model: Any) -> None:
    whole = {"source": text(IMAGE), "season": "summer", "depth": text(DEPTH)}
    wrong = [
        ({"season": None}, r"a column 'season' is wanted in each row: one of winter, summer"),
        ({"season": "autumn"}, "one of winter, summer"),
        ({"depth": "/etc/hostname"}, "no PNG or JPEG file"),
    ]
    for change, cause in wrong:
        with pytest.raises((ValueError, p2pkit.DataError), match=cause):
            model.predict(pandas.DataFrame([{**whole, **change}]))
    with pytest.raises(Exception, match=r"missing inputs \['season'\]"):
        model.predict(pandas.DataFrame([{"source": text(IMAGE), "depth": text(DEPTH)}]))


@pytest.mark.slow
def test_it_needs_no_p2pkit(model: Any, folder: Any, tmp_path: Path, python: Any) -> None:
    rows = [
        {"source": IMAGE.tolist(), "season": season, "depth": DEPTH.tolist(), "age": age}
        for season, age in (("summer", 0.5), ("winter", 2.5))
    ]
    table = tmp_path / "table.json"
    table.write_text(json.dumps(rows))
    said = python(WITHOUT_P2PKIT.format(folder=str(folder[0]), table=str(table)), tmp_path, warm=True)
    assert "without p2pkit, this network needs a value of age too: 1 number" in said
    wanted = np.stack(list(model.predict(pandas.read_json(table), params={"seed": 3})))
    assert np.abs(np.load(tmp_path / "made.npy").astype(int) - wanted).max() <= 1


def test_mlflows_server_answers(ask: Any, translator: p2pkit.Translator) -> None:
    row = {"source": text(IMAGE), "season": "winter", "depth": text(DEPTH), "age": [2]}
    columns = {name: [value] for name, value in row.items()}
    split = {"columns": list(row), "data": [list(row.values())]}
    wanted = translator.translate(IMAGE, season="winter", depth=DEPTH, age=2)
    for body in ({"dataframe_records": [row]}, {"dataframe_split": split}, {"inputs": columns}):
        status, answer = ask(body)
        assert status == 200, answer
        np.testing.assert_array_equal(pixels(answer["predictions"][0]), wanted)
    _, seeded = ask({"dataframe_records": [row], "params": {"seed": 3}})
    assert (pixels(seeded["predictions"][0]) != wanted).any()
    status, refused = ask({"dataframe_records": [{**row, "season": "autumn"}]})
    assert (status, "one of winter, summer" in str(refused)) == (400, True)


def test_its_example_and_its_signature_name_all_of_it(model: Any, folder: Any, ask: Any) -> None:
    given = model.metadata.signature.inputs
    assert given.required_input_names() == ["source", "depth", "season"]
    assert given.optional_input_names() == ["age", "z"]
    assert [param.name for param in model.metadata.signature.params] == ["seed"]
    _, answer = ask(json.loads((folder[0] / "serving_input_example.json").read_text()))
    assert pixels(answer["predictions"][0]).shape == (16, 16, 3)


def test_of_images_alone_nothing_has_changed() -> None:
    anything = [{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": (-1,)}}]
    plain = signature({"source": "uint8"})
    assert (plain.inputs.to_dict(), plain.outputs.to_dict(), plain.params) == (anything, anything, None)


def test_noise_alone_has_a_seed_and_no_columns() -> None:
    noise = {"kind": "noise", "size": 3, "names": [], "needed": False, "text": "3 numbers"}
    facts = {"source": "uint8", "beside": {"z": noise}, "seed": 7}
    found = signature(facts)
    assert not found.inputs.has_input_names()
    assert [(param.name, param.default) for param in found.params] == [("seed", 7)]
    images = p2pkit.PairSpec(
        p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 8, 8, extras={"z": p2pkit.VectorSpec(3, "noise")}
    )
    assert isinstance(example(images, facts)[0], str)
