"""A model on its way to a hub, which here is a server on the loopback interface."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from safetensors.torch import load_file
from torch import nn

import p2pkit
from p2pkit import ModelError
from p2pkit.exporting.pushing import push
from p2pkit.planning import plan_of

TOKEN = "hf_" + "secret" * 5


LARGE = 10 * 2**20
"""Bytes from which on a hub wants a file by Git LFS."""


class Hub:
    """What a hub keeps: by repository whether it is private, and its files; and by their hashes large ones."""

    def __init__(self):
        self.private, self.files, self.commits, self.tokens, self.large = {}, {}, 0, set(), {}

    def answer(self, method, path, body):
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name not in self.files:
                self.private[name], self.files[name] = (
                    asked.get("visibility") == "private" or asked.get("private", False),
                    {".gitattributes": b""},
                )
            return 200, {"url": f"https://huggingface.co/{name}"}
        if parts[:2] == ["api", "validate-yaml"]:
            return 200, {"errors": [], "warnings": []}
        if parts[2:] == ["info", "lfs", "objects", "batch"]:
            asked = json.loads(body)["objects"]
            places = [{"upload": {"href": f"{self.address}/large/{each['oid']}"}} for each in asked]
            return 200, {"objects": [{**each, "actions": place} for each, place in zip(asked, places, strict=True)]}
        if parts[0] == "large":
            assert hashlib.sha256(body).hexdigest() == parts[1]
            self.large[parts[1]] = body
            return 200, {}
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name == "full/house":
            return 403, {"error": f"Bearer {TOKEN} may not"}
        if name not in self.files:
            return 404, {"error": "Repository not found"}
        files = self.files[name]
        listed = [{"type": "file", "path": path, "size": len(held), "oid": "0" * 40} for path, held in files.items()]
        if parts[0] != "api":
            return 200, files["/".join(parts[4:])]
        if parts[4:5] == ["tree"]:
            return 200, listed
        if parts[4:5] == ["preupload"]:
            asked = json.loads(body)["files"]
            modes = ["lfs" if each["size"] > LARGE else "regular" for each in asked]
            each = zip(asked, modes, strict=True)
            return 200, {"files": [{**file, "uploadMode": mode, "shouldIgnore": False} for file, mode in each]}
        if parts[4:5] == ["commit"]:
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                if line["key"] == "lfsFile":
                    files[line["value"]["path"]] = self.large[line["value"]["oid"]]
            self.commits += 1
            return 200, {"success": True, "commitOid": "0" * 40, "commitUrl": f"https://huggingface.co/{name}/commit/0"}
        siblings = [{"rfilename": path} for path in files]
        return 200, {"id": name, "sha": "0" * 40, "private": self.private[name], "siblings": siblings}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    kept = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.sent()
            kept.tokens.add(self.headers.get("Authorization"))
            status, made = kept.answer(self.command, self.path, body)
            content = made if isinstance(made, bytes) else json.dumps(made).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", hashlib.sha256(content).hexdigest())
            self.send_header("X-Repo-Commit", "0" * 40)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_PUT = do_GET

        def sent(self):
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sizes = iter(lambda: int(self.rfile.readline(), 16), 0)
            return b"".join(self.rfile.read(size + 2)[:-2] for size in sizes)

        def log_message(self, *told):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kept.address = f"http://127.0.0.1:{server.server_port}"
        address = {"endpoint": kept.address}
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, **address))
        fetch = partial(huggingface_hub.snapshot_download, **address, cache_dir=tmp_path / "hub")
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        yield kept
        server.shutdown()


def test_a_model_goes_to_the_hub_and_comes_back(small_run, hub, tmp_path):
    assert push(small_run.checkpoint, "me/shapes", license="mit").endswith("/me/shapes")
    files = hub.files["me/shapes"]
    assert {"README.md", "config.json", "model.safetensors", "samples.png", "state.json"} <= files.keys()
    assert "training.safetensors" not in files
    assert b"p2pkit translate hf://me/shapes IN" in files["README.md"]
    assert b"license: mit" in files["README.md"]
    assert hub.private["me/shapes"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert not any(TOKEN.encode() in held for held in files.values())
    image = np.zeros((20, 18, 3), np.uint8)
    wanted, fake = (p2pkit.load(model).translate(image) for model in (small_run.checkpoint, "hf://me/shapes"))
    np.testing.assert_array_equal(wanted, fake)


def test_what_is_there_is_not_written_over_without_a_word(small_run, hub):
    push(small_run.checkpoint, "me/shapes", public=True)
    assert hub.private["me/shapes"] is False
    with pytest.raises(ModelError, match=r"holds \d+ files already(?s:.)*--overwrite"):
        push(small_run.checkpoint, "me/shapes")
    assert hub.commits == 1
    push(small_run.checkpoint, "me/shapes", overwrite=True)
    assert hub.commits == 2


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the hub's package, at httpx
def test_a_large_file_goes_by_git_lfs(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # which has a server of its own
    folder = tmp_path / "model"
    folder.mkdir()
    content = {"p2pkit.json": b"{}", "model.onnx": np.random.default_rng(0).bytes(LARGE + 1)}
    for name, held in content.items():
        (folder / name).write_bytes(held)
    push(folder, "me/large")
    assert {name: hub.files["me/large"][name] for name in content} == content
    assert [*hub.large.values()] == [content["model.onnx"]]
    hub.answer = lambda *asked: (507, {}) if asked[1].startswith("/large/") else Hub.answer(hub, *asked)
    (folder / "model.onnx").write_bytes(bytes(LARGE + 1))
    with pytest.raises(ModelError, match=r"while uploading 'model\.onnx'.*'507 Insufficient"):
        push(folder, "me/large", overwrite=True)


def test_a_refusal_says_why_and_shows_no_token(small_run, hub):
    with pytest.raises(ModelError, match="the hub does not take it") as caught:
        push(small_run.checkpoint, "full/house")
    assert TOKEN not in str(caught.value)


def test_without_a_token_or_a_name_nothing_is_asked(small_run, hub, monkeypatch):
    with pytest.raises(ModelError, match="not of the form OWNER/NAME"):
        push(small_run.checkpoint, "shapes")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ModelError, match=r"no token(?s:.)*HF_TOKEN"):
        push(small_run.checkpoint, "me/shapes")
    assert not hub.tokens


def test_the_layout_is_that_of_pytorch_model_hub_mixin(small_run, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    folder = p2pkit.export(small_run.checkpoint, tmp_path / "out", format="hub").folder
    weights = load_file(folder / "generator.safetensors")
    assert load_file(folder / "model.safetensors").keys() == weights.keys()
    names = []

    class Network(nn.Module, hub.PyTorchModelHubMixin):
        def __init__(self, use, params, images):
            super().__init__()
            names.append((use, images["height"]))
            assert isinstance(params, dict)
            spec = p2pkit.load(small_run.checkpoint).images
            made = plan_of(small_run.checkpoint, {}, None).part("generator").build(spec)
            for name, child in made.named_children():
                self.add_module(name, child)

    network = Network.from_pretrained(str(folder))
    assert names == [("p2pkit:unet", 16)]
    assert all((value == weights[name]).all() for name, value in network.state_dict().items())
    again = p2pkit.export(folder, tmp_path / "again", format="safetensors").folder
    assert not (again / "model.safetensors").exists()
