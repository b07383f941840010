"""What is asked of a server, and what it answers."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2pkit.images.files import image_tensor
from p2pkit.types import Edges, ImageSpec, Reading


@pytest.mark.parametrize("kind", ["image/png", "image/tiff", "application/x-npy"])
def test_a_fake_is_that_of_translate(kind, client, models, content, drawing):
    wanted = models["first"].translator.translate(drawing)
    got = client.translate(content, accept=kind)
    assert (got.status, got.kind) == (200, kind)
    np.testing.assert_array_equal(got.array, wanted)


@pytest.mark.parametrize("kind", ["image/jpeg", "image/webp"])
def test_lossy_kinds_come_as_asked(kind, client, content):
    got = client.translate(content, accept=f"text/html, {kind};q=0.5")
    assert (got.status, got.kind, got.image.size) == (200, kind, (34, 21))
    assert Image.MIME[got.image.format] == kind


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_each_kind_is_taken(kind, client, models, drawing):
    buffer = io.BytesIO()
    Image.fromarray(drawing).save(buffer, kind)
    buffer.seek(0)
    wanted = models["first"].translator.translate(np.asarray(Image.open(buffer)))
    got = client.translate(buffer.getvalue(), content_type=Image.MIME[kind])
    np.testing.assert_array_equal(got.array, wanted)


def test_size_is_as_in_translate(client, content):
    assert client.translate(content, "?size=30x20").image.size == (20, 30)
    assert client.translate(content, "?size=trained").image.size == (16, 16)
    for written, status in (("big", 400), ("0x5", 400), ("999999x999999", 413)):
        wrong = client.translate(content, f"?size={written}")
        assert (wrong.status, wrong.json["where"]) == (status, "query.size")


def test_a_picture_of_labels_is_in_their_colours(models, served, content):
    first = models["first"]
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    target = ImageSpec(3, "labels", palette=colours)
    labels = replace(first.translator, images=replace(first.translator.images, target=target))
    with served({"first": replace(first, translator=labels)}) as client:
        shown, indices = client.translate(content, "?picture=true").array, client.translate(content).array
        np.testing.assert_array_equal(shown, np.asarray(colours, np.uint8)[indices])
        assert client.translate(content, accept="image/jpeg").status == 406


@pytest.mark.parametrize(
    ("body", "kind", "status", "where"),
    [
        (b"", "image/png", 400, "body"),
        (b"garbage", "image/png", 400, "body"),
        (b"\x89PNG\r\n\x1a\n cut", "image/png", 400, "body"),
        (b"{}", "application/json", 415, "header.content-type"),
        (b"{}", "", 415, "header.content-type"),
    ],
)
def test_what_is_no_image_is_refused(body, kind, status, where, client):
    got = client.translate(body, content_type=kind)
    assert (got.status, got.kind, got.json["where"]) == (status, "application/problem+json", where)
    assert got.json["detail"]


def test_unknown_names_are_told_with_the_known_ones(client, content):
    got = client.ask("POST", "/models/third/translate", content, content_type="image/png")
    assert (got.status, got.json["remedy"]) == (404, "there are: first, second")
    for path in ("/nowhere", "/page/..%2fapp.py", "/page/../../etc/passwd", "/models/first/samples/99"):
        assert client.ask("GET", path).status == 404
    assert client.ask("DELETE", "/models").status == 405


def test_models_are_described(client, run):
    first, second = client.ask("GET", "/models").json
    assert first["name"] == "first"
    assert second == client.ask("GET", "/models/second").json
    assert (first["height"], first["width"], first["samples"]) == (
        16,
        16,
        [f"/models/first/samples/{index}" for index in (0, 1)],
    )
    assert first["source"] | {"type": "uint8", "channels": 3} == first["source"]
    assert first["scores"]["l1 ↓"] == pytest.approx(run.report.metrics["l1"])
    assert "## Scores" in client.ask("GET", first["card"]).body.decode()
    sample = client.ask("GET", "/models/first/samples/1").array
    sheet = np.asarray(Image.open(sorted(run.folder.glob("samples/step-*/01.png"))[-1]))
    np.testing.assert_array_equal(sample, sheet[:, :16])


def test_a_photo_is_shown_as_the_edges_that_a_model_is_given(models, served):
    first = models["first"]
    source = ImageSpec(1)
    images = replace(first.translator.images, source=source, reading=Reading(edges=Edges()))
    edges = {"first": replace(first, translator=replace(first.translator, images=images), samples=())}
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:, 16:] = 255, 40, 40
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    with served(edges) as client:
        assert client.ask("GET", "/models/first").json["source"]["edges"]
        shown = client.ask("POST", "/models/first/source?size=trained", buffer.getvalue(), content_type="image/png")
        refused = client.ask("POST", "/models/first/source", b"no image", content_type="image/png")
    assert (shown.status, shown.kind, shown.array.shape) == (200, "image/png", (16, 16, 3))
    assert set(np.unique(shown.array)) == {0, 255}
    assert (shown.array == 255).mean() > 0.5
    assert (refused.status, refused.json["where"]) == (400, "body")


def test_a_mistake_of_the_server_shows_no_traceback(models, served, content):
    said: list[str] = []

    class Broken:
        images, multiple = models["first"].translator.images, 16

        @property
        def sources(self):
            return self

        def read(self, *args, **options):
            raise ZeroDivisionError("secret")

        def fakes(self, sources):
            raise AssertionError

    with served({"first": replace(models["first"], translator=Broken())}, note=said.append) as client:
        got = client.translate(content)
    assert (got.status, b"secret" in got.body) == (500, False)
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert said == ["error: POST /models/first/translate: ZeroDivisionError: secret"]


def test_health_metrics_and_docs(client, content):
    client.translate(content)
    assert client.ask("GET", "/health").json["status"] == "ok"
    assert 'p2pkit_requests_total{model="first",status="200"}' in client.ask("GET", "/metrics").body.decode()
    described = client.ask("GET", "/openapi.json").json
    responses = described["paths"]["/models/{name}/translate"]["post"]["responses"]
    assert {"200", "400", "406", "413", "415", "429"} <= set(responses)
    assert "422" not in responses
    docs = client.ask("GET", "/docs").body.decode()
    assert "POST /models/{name}/translate" in docs
    assert "https://" not in docs


def test_values_beyond_8_bits_are_kept(models, served):
    first = models["first"]
    deep = ImageSpec(1, low=0, high=65535)
    images = replace(first.translator.images, target=deep)

    class Deep(type(first.translator)):
        def fakes(self, sources, batch=1):
            return [image_tensor(np.full((21, 34), 40000, np.uint16)) for _ in sources]

    values = {each.name: getattr(first.translator, each.name) for each in fields(first.translator)}
    with served({"first": replace(first, translator=Deep(**{**values, "images": images}))}) as client:
        buffer = io.BytesIO()
        np.save(buffer, np.zeros((21, 34, 3), np.uint8))
        for kind in ("image/png", "image/tiff", "application/x-npy"):
            got = client.translate(buffer.getvalue(), content_type="application/x-npy", accept=kind)
            assert np.unique(got.array).tolist() == [40000]
        refused = client.translate(buffer.getvalue(), content_type="application/x-npy", accept="image/jpeg")
        assert (refused.status, refused.json["where"]) == (406, "header.accept")


def test_what_the_page_on_serving_shows(client, content, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "serve-a-model.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("drawing.png").write_bytes(content)

    def here(code: str) -> str:
        return code.replace(":8000", f":{client.port}").replace("/emoji/", "/first/")

    (asked,) = re.findall(r"^```text\n(.*?)^```", page, re.M | re.S)
    exec(compile(here(asked), "page", "exec"), {})
    with Image.open("fake.webp") as fake:
        assert fake.size == (16, 16)
    if shutil.which("curl"):
        (curl,) = re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S)
        subprocess.run(["bash", "-e", "-c", here(curl)], check=True)
        with Image.open("fake.png") as fake:
            assert fake.size == (34, 21)
    addresses = re.findall(r"`GET (/[^`]*)`", page)
    assert len(addresses) == 8
    assert [client.ask("GET", each.replace("NAME", "first")).status for each in addresses] == [200] * 8
