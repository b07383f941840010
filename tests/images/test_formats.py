"""A format that a plugin reads: trained on, translated, and written back in kind."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit.images import formats, listing
from p2pkit.images.files import read_with_meta
from p2pkit.inference.jobs import plan_jobs
from p2pkit.plugins.loading import Plugins
from p2pkit.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "components" / "readers.md"
MORE = """
    class Other(Grid):
        '''Only reads.'''
        write = None

    class Broken:
        '''Fails.'''
        def __init__(self):
            raise RuntimeError("no such library")

    @p2pkit.hookimpl
    def p2pkit_readers():
        yield p2pkit.Reader("grid", Grid, suffixes=(".grid", ".g.gz"))
        yield p2pkit.Reader("other", Other, suffixes=(".only",))
        yield p2pkit.Reader("broken", Broken, suffixes=(".broken",))
"""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(formats, "_READERS", {})
    monkeypatch.setattr(formats, "SUFFIXES", suffixes := set(listing.IMAGE_SUFFIXES))
    monkeypatch.setattr(listing, "SUFFIXES", suffixes)
    monkeypatch.setattr("p2pkit.inference.jobs.SUFFIXES", suffixes)


@pytest.fixture
def grids(quiet, write_plugin):
    """The plugin of the documentation, and more readers."""
    code = PAGE.read_text("utf-8").partition("```python\n")[2].partition("@p2pkit.hookimpl")[0]
    file = write_plugin(code + "\n".join(line[4:] for line in MORE.splitlines()), "grids")
    return Registry(quiet.file, Plugins(files=[file], discover=False, block=["p2pkit.mlflow"]))


def grid(path, pixels, place=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"shape": pixels.shape, "type": pixels.dtype.str, "place": place}
    path.write_bytes(json.dumps(facts).encode() + b"\n" + pixels.tobytes())
    return path


def test_a_file_is_read_by_what_its_name_ends_with(grids, tmp_path):
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 4, 3)
    for name in ("A.GRID", "a.g.gz", "b.only"):
        image, meta = read_with_meta(grid(tmp_path / name, pixels, [7, 8]))
        assert (meta, image.dtype) == ([7, 8], torch.uint16)
        assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))
    assert [p2pkit.suffix_of(name) for name in ("x.g.gz", "x.tar.gz", "x.PNG", ".grid")] == [".g.gz", ".gz", ".png", ""]
    assert p2pkit.without_suffix(Path("in/x.1.g.gz")) == Path("in/x.1")
    assert p2pkit.is_image_name("a/b.g.gz")
    assert not p2pkit.is_image_name("a/b.gz")


def test_without_the_plugin_it_is_no_image(tmp_path):
    assert not p2pkit.is_image_name("a.grid")
    with pytest.raises(OSError, match="not an image"):
        p2pkit.read_image(grid(tmp_path / "a.grid", np.zeros((2, 2))))


def test_what_a_reader_can_not_read_is_an_error_that_says_so(grids, tmp_path):
    (tmp_path / "a.grid").write_bytes(b"{}\n123")
    with pytest.raises(OSError, match=r".grid files' reader: KeyError: 'type'"):
        p2pkit.read_image(tmp_path / "a.grid")
    with pytest.raises(OSError, match="grids:broken can't be made: RuntimeError: no such library"):
        p2pkit.read_image(tmp_path / "a.broken")
    with pytest.raises(OSError, match="No such file"):
        p2pkit.read_image(tmp_path / "none.grid")
    with pytest.raises(OSError, match="values that are not finite"):
        p2pkit.read_image(grid(tmp_path / "b.grid", np.full((2, 2), np.nan)))
    with pytest.raises(OSError, match="can be read, but not written"):
        p2pkit.write_image(torch.zeros(1, 2, 2), tmp_path / "c.only")


def test_two_readers_of_one_suffix_are_told_apart_by_blocking_one(grids, tmp_path):
    formats.register(".grid", "acme:grid", object)
    with pytest.raises(OSError, match=r"acme:grid and grids:grid both read .grid files; block one"):
        p2pkit.read_image(tmp_path / "a.grid")


@pytest.mark.parametrize(
    ("suffixes", "why"),
    [
        ((".tif",), "p2pkit reads .tif files itself"),
        (("grid",), "is no suffix"),
        ((".G",), "is no suffix"),
        ((), "say"),
    ],
)
def test_suffixes_that_a_reader_can_not_have(suffixes, why):
    with pytest.raises(ValueError, match=why):
        p2pkit.Reader("grid", object, suffixes=suffixes)


def test_a_reader_has_no_parameters(write_plugin):
    code = """
        def made(*, slice: int = 0):
            '''Asks.'''
        @p2pkit.hookimpl
        def p2pkit_readers(): yield p2pkit.Reader("asks", made, suffixes=(".asks",))
    """
    with pytest.raises(p2pkit.PluginError, match="asks: a reader has no parameters, and its factory asks for slice"):
        Plugins(files=[write_plugin(code)], discover=False)


def test_an_archive_holds_such_files_too(grids, tmp_path, tiny):
    pixels = np.full((16, 16), 7, np.uint8)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for side in ("source", "target"):
            for number in range(4):
                file = grid(tmp_path / side / f"{number}.grid", pixels)
                archive.write(file, f"{side}/{number}.grid")
    data = {"use": "paired_folders", "params": {"root": str(tmp_path / "data.zip")}}
    checked = p2pkit.check({**tiny, "dataset": data}, registry=grids, every_file=True)
    assert int(checked.dataset.pairs("train")[0].source.max()) == 7


def test_what_is_trained_on_is_translated_and_written_in_kind(grids, tmp_path, tiny):
    dice = np.random.default_rng(0)
    for number in range(6):
        for side, channels in (("source", (4,)), ("target", ())):
            pixels = (dice.random((16, 16, *channels)) * 50_000).astype(np.uint16)
            grid(tmp_path / "data" / side / f"{number}.grid", pixels, {"north": number})
    params = {"root": str(tmp_path / "data"), "source_shown": [3, 2, 1], "size": 16}
    config = {**tiny, "dataset": {"use": "paired_folders", "params": params}, "schedule": {"steps": 1}}
    run = p2pkit.train(config, registry=grids, **{"tracking.folder": str(tmp_path / "runs")})
    model = p2pkit.load(run.checkpoint, registry=grids)
    assert (model.images.reading.suffix, model.images.source.shown) == (".grid", (3, 2, 1))
    source = tmp_path / "data" / "source"
    written = model.translate_files(source, tmp_path / "fakes")
    assert [path.name for path in written] == [f"{number}.grid" for number in range(6)]
    fake, meta = read_with_meta(written[3])
    assert (meta, fake.dtype, fake.shape) == ({"north": 3}, torch.uint16, (1, 16, 16))
    (smaller,) = model.translate_files(source / "2.grid", tmp_path / "small.grid", size=(8, 8))
    assert read_with_meta(smaller)[1] is None
    (named,) = model.translate_files(source / "2.grid", tmp_path / "fake.png")
    assert p2pkit.read_image(named).dtype == torch.uint16


def test_fakes_of_a_format_that_is_only_read_are_as_the_targets_are(grids, tmp_path):
    images = p2pkit.PairSpec(p2pkit.ImageSpec(1), p2pkit.ImageSpec(1), 4, 4)
    file = grid(tmp_path / "a.only", np.zeros((4, 4), np.uint8))
    (job,) = plan_jobs([file], tmp_path / "out", images)
    assert job.out.name == "a.png"


def test_pictures_show_what_a_spec_says():
    image = torch.tensor([-1.0, 0.0, 1.0, 0.0, -1.0])[:, None, None]
    assert p2pkit.to_picture(image, p2pkit.ImageSpec(5, shown=(2, 1, 0))).tolist() == [[[255, 128, 0]]]
    assert p2pkit.to_picture(image, p2pkit.ImageSpec(5, shown=(2,))).tolist() == [[[255, 255, 255]]]
    assert repr(p2pkit.ImageSpec(5, shown=(2,))) == repr(p2pkit.ImageSpec(5))


def test_channels_that_are_not_there_can_not_be_shown(tmp_path, tiny):
    for side in ("source", "target"):
        for number in range(4):
            (tmp_path / side).mkdir(exist_ok=True)
            np.save(tmp_path / side / f"{number}.npy", np.zeros((16, 16, 4), np.uint8))
    params = {"root": str(tmp_path), "source_shown": [3, 1, 0], "target_shown": [0, 4, 1]}
    with pytest.raises(p2pkit.ConfigError, match=r"target_shown: of 4 channels, from 0 to 3, pictures"):
        p2pkit.check({**tiny, "dataset": {"use": "paired_folders", "params": params}})
