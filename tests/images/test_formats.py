"""A format that a plugin reads: trained on, translated, and written back in kind."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import p2pkit
from p2pkit.images import finding, formats
from p2pkit.images.files import image_bytes, read_with_meta
from p2pkit.inference.companions import Companions
from p2pkit.inference.jobs import plan_jobs
from p2pkit.inference.sources import Sources
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
    formats.register("acme:grid", (".grid",), lambda params: object())
    file = grid(tmp_path / "a.grid", np.full((2, 2), 7, np.uint8))
    with pytest.raises(OSError, match=r"acme:grid and grids:grid both read .grid files; name one"):
        p2pkit.read_image(file)
    assert int(p2pkit.read_image(file, reader="grids:grid").max()) == 7


@pytest.mark.parametrize(
    ("suffixes", "why"),
    [
        (("grid",), "is no suffix"),
        ((".G",), "is no suffix"),
        ((), "say"),
    ],
)
def test_suffixes_that_a_reader_can_not_have(suffixes, why):
    with pytest.raises(ValueError, match=why):
        p2pkit.Reader("grid", object, suffixes=suffixes)


def test_a_reader_is_given_nothing_but_its_parameters(write_plugin):
    code = """
        def made(images, *, slice: int = 0):
            '''Asks.'''
        @p2pkit.hookimpl
        def p2pkit_readers(): yield p2pkit.Reader("asks", made, suffixes=(".asks",))
    """
    with pytest.raises(p2pkit.PluginError, match="asks: the run gives it nothing; make its arguments keyword-only"):
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


SCANS = '''
    """Files without a suffix, and TIFFs, read in another way."""
    import numpy as np
    from typing import Annotated
    from pydantic import Field

    class Scan:
        """Numbers after a word."""
        def __init__(self, *, times: Annotated[int, Field(ge=1, description="What values are multiplied by.")] = 1):
            self.times = times
        def sniff(self, head):
            return head.startswith(b"SCAN")
        def read(self, path):
            content = path.read_bytes()
            if not self.sniff(content):
                return p2pkit.ImageFile(np.full((16, 16), self.times, np.uint8))
            return p2pkit.ImageFile(np.frombuffer(content[4:], np.uint8).reshape(16, 16) * np.uint8(self.times))

    class Other(Scan):
        """Knows nothing by its content."""
        sniff = None

    @p2pkit.hookimpl
    def p2pkit_readers():
        yield p2pkit.Reader("scan", Scan, suffixes=(".scan", ".raw", ".tif"))
        yield p2pkit.Reader("other", Other, suffixes=(".raw",))
'''


@pytest.fixture
def scans(quiet, write_plugin):
    """A reader with a parameter, that knows its files by their content."""
    return Registry(quiet.file, Plugins(files=[write_plugin(SCANS, "scans")], discover=False, block=["p2pkit.mlflow"]))


def scan(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"SCAN" + bytes([value]) * 256)
    return path


def test_a_file_without_a_suffix_is_read_by_whoever_knows_how_it_begins(scans, tmp_path):
    for name in ("IM0001", "1.2.840.77"):
        assert int(p2pkit.read_image(scan(tmp_path / name, 9)).max()) == 9
    assert int(p2pkit.read_image(scan(tmp_path / "a.raw", 8)).max()) == 8  # of two readers, the one that knows it
    (tmp_path / "README").write_text("no image")
    found = [path.name for path in finding.find_images(tmp_path)]
    assert found == ["1.2.840.77", "IM0001", "a.raw"]
    with pytest.raises(OSError, match="not an image"):
        p2pkit.read_image(tmp_path / "README")
    p2pkit.write_image(torch.full((3, 2, 2), 5, dtype=torch.uint8), tmp_path / "a.png").rename(tmp_path / "sent")
    assert p2pkit.read_image(tmp_path / "sent", reader="scans:scan").shape == (3, 2, 2)


def test_an_archive_and_a_folder_list_files_by_their_content_too(scans, tmp_path, tiny):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for side in ("source", "target"):
            for number in range(4):
                archive.write(scan(tmp_path / "data" / side / f"IM{number}", 7), f"{side}/IM{number}")
            archive.writestr(f"{side}/NOTES", "no image")
    for root in ("data.zip", "data"):
        data = {"use": "paired_folders", "params": {"root": str(tmp_path / root)}}
        checked = p2pkit.check({**tiny, "dataset": data}, registry=scans, every_file=True)
        assert int(checked.dataset.pairs("train")[0].source.max()) == 7


def test_a_suffix_of_p2pkit_s_own_is_a_plugin_s_where_that_is_named(scans, tmp_path, tiny):
    for side in ("source", "target"):
        for number in range(4):
            (tmp_path / side).mkdir(exist_ok=True)
            p2pkit.write_image(
                torch.full((1, 16, 16), 50 + number, dtype=torch.uint8), tmp_path / side / f"{number}.tif"
            )
    assert int(p2pkit.read_image(tmp_path / "source" / "0.tif").max()) == 50
    params = {"root": str(tmp_path), "source_reader": {"use": "scan", "params": {"times": 3}}, "size": 16}
    data = {"use": "paired_folders", "params": params}
    checked = p2pkit.check({**tiny, "dataset": data}, registry=scans)
    pair = checked.dataset.pairs("train")[0]
    assert (int(pair.source.max()), int(pair.target.max())) == (3, 50)
    assert checked.dataset.spec.reading.reader == p2pkit.ReaderChoice("scans:scan", {"times": 3})
    assert checked.plan.resolved()["dataset"]["params"]["source_reader"]["use"] == "scans:scan"
    other = p2pkit.check({**tiny, "dataset": {**data, "params": {**params, "source_reader": "scan"}}}, registry=scans)
    assert other.dataset.fingerprint("train") != checked.dataset.fingerprint("train")
    params["source_reader"] = {"use": "scan", "params": {"times": 0}}
    with pytest.raises(p2pkit.ConfigError, match=r"dataset.params.source_reader.params.times"):
        p2pkit.check({**tiny, "dataset": data}, registry=scans)
    params["source_reader"] = "nobody"
    with pytest.raises(p2pkit.ConfigError, match=r"source_reader.use: no reader is called 'nobody'"):
        p2pkit.check({**tiny, "dataset": data}, registry=scans)


def test_the_reading_belongs_to_the_model_and_its_plugin_travels_with_it(scans, quiet, tmp_path, tiny):
    for side in ("source", "target"):
        for number in range(4):
            scan(tmp_path / "data" / side / f"{number}.scan", 10 * (number + 1))
    params = {"root": str(tmp_path / "data"), "source_reader": {"use": "scan", "params": {"times": 2}}}
    config = {**tiny, "dataset": {"use": "paired_folders", "params": params}, "schedule": {"steps": 1}}
    config["engine"] = {**tiny["engine"], "workers": 2, "cache": "off"}
    run = p2pkit.train(config, registry=scans, **{"tracking.folder": str(tmp_path / "runs")})
    assert [file.name for file in (run.checkpoint / "plugins").iterdir()] == ["scans.py"]
    file = tmp_path / "data" / "source" / "3.scan"
    model = p2pkit.load(run.checkpoint, registry=scans)
    wanted = model.translate(np.full((16, 16), 80, np.uint8))
    assert np.array_equal(np.asarray(model.translate(file)), wanted[..., 0])
    with pytest.raises(OSError, match="scans:scan reads such sources of this model, and from files alone"):
        model.sources.read([io.BytesIO(file.read_bytes())], ("", ".png"))
    sent = io.BytesIO(image_bytes(torch.full((1, 16, 16), 80, dtype=torch.uint8), ".png"))
    first, second = (
        model.sources.read([each], (kind, ".png")).source for each, kind in ((sent, ".png"), (file, ".scan"))
    )
    assert torch.equal(first.planes, second.planes)
    (written,) = model.translate_files(file, tmp_path / "fake.png")
    assert torch.equal(p2pkit.read_image(written), torch.from_numpy(wanted).permute(2, 0, 1))
    formats._FORMATS.clear()
    formats._FORMATS.update(formats._OWN)
    bare = p2pkit.load(run.checkpoint, registry=quiet)  # this user has run the plugin, so that it comes along
    (again,) = bare.translate_files(file, tmp_path / "again.png")
    assert again.read_bytes() == written.read_bytes()
    shutil.rmtree(run.checkpoint / "plugins"), shutil.rmtree(run.folder / "plugins")
    formats._FORMATS.clear()
    formats._FORMATS.update(formats._OWN)
    with pytest.raises(p2pkit.DataError, match=r"scans:scan, which is no reader that is here: .*--plugin scans.py"):
        p2pkit.load(run.checkpoint, registry=quiet).translate_files(file, tmp_path / "none.png")


def test_what_p2pkit_reads_itself_is_offered_by_the_same_door(registry, tmp_path):
    offered = {each.name: each for each in registry.plugins.components if each.kind == "reader"}
    assert {suffix for reader in offered.values() for suffix in reader.suffixes} == p2pkit.IMAGE_SUFFIXES
    image = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
    p2pkit.write_image(image, tmp_path / "a.png")
    reader = offered["pictures"].build(None, {})
    assert np.array_equal(reader.read(tmp_path / "a.png").pixels, image.permute(1, 2, 0))
    with pytest.raises(OSError, match="of another format"):
        offered["npy"].build(None, {}).read(tmp_path / "a.png")
    with pytest.raises(OSError, match=r"a .bmp file can't hold 1 channels of uint16"):
        reader.write(tmp_path / "a.bmp", p2pkit.ImageFile(np.zeros((2, 2), np.uint16)))


def test_a_tiff_of_several_images_is_read_by_the_one_that_is_named(tmp_path):
    import tifffile

    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for side in (4, 6):
            file.write(np.full((side, side), side, np.uint8), photometric="minisblack")
    with pytest.raises(OSError, match=r"different sizes, .*name its page: \{use: tiff, params: \{page: 0\}\}"):
        p2pkit.read_image(tmp_path / "a.tif")
    second = p2pkit.read_image(tmp_path / "a.tif", reader=p2pkit.ReaderChoice("tiff", {"page": 1}))
    assert (second.shape, int(second.max())) == ((1, 6, 6), 6)
    reading = p2pkit.Reading(reader=p2pkit.ReaderChoice("tiff", {"page": 1}))
    sources = Sources(
        p2pkit.PairSpec(p2pkit.ImageSpec(1), p2pkit.ImageSpec(1), 6, 6, reading), Companions({}, frozenset(), 1)
    )
    sent = sources.read([io.BytesIO((tmp_path / "a.tif").read_bytes())], (".tif", ".png"))
    assert sent.source.planes.shape == (1, 6, 6)
    with pytest.raises(OSError, match="holds 2 images, from 0 to 1, and none of number 2"):
        p2pkit.read_image(tmp_path / "a.tif", reader=p2pkit.ReaderChoice("tiff", {"page": 2}))
