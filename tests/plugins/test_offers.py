"""What is remembered of plugins, so that one is imported only when something of it is asked for."""

from __future__ import annotations

import json
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import p2pkit
from p2pkit.catalog import entries, kind_of
from p2pkit.errors import RegistryError
from p2pkit.plugins.events import Events, replay
from p2pkit.plugins.loading import Plugins
from p2pkit.plugins.offers import FRESH
from p2pkit.registry import Registry, RegistryFile

CODE = """
    import os

    def lines(*, width: int = 1):
        '''Lines.'''

    @p2pkit.hookimpl
    def p2pkit_losses():
        for name in os.environ.get("ACME_OFFERS", "lines").split():
            yield p2pkit.Loss(name, lines)
"""
LISTENS = """
    @p2pkit.hookimpl
    def p2pkit_replay(folder):
        return "replayed"
"""
READS = """
    import numpy as np

    class Grid:
        '''A grid.'''

        def read(self, path):
            return np.full((2, 3), 7, np.uint8)

    @p2pkit.hookimpl
    def p2pkit_readers():
        yield p2pkit.Reader("grid", Grid, suffixes=(".acmegrid",))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    monkeypatch.setenv("P2PKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def names(install):
    """The names that a process sees which begins now."""

    def begin():
        sys.modules.pop("acme_module", None)
        return Registry(RegistryFile(), Plugins(enable=["acme"], remember=True))

    return begin


def is_imported():
    return "acme_module" in sys.modules


def losses(registry):
    return [entry.name for entry in entries(registry, "loss") if entry.plugin == "acme"]


def test_it_is_imported_once_and_then_when_it_is_asked_for(install, names):
    install(CODE)
    assert names().plugins.import_all() is False
    assert is_imported()
    registry = names()
    assert losses(registry) == ["acme:lines", "lines"]
    assert kind_of(registry, "acme:lines") == "loss"
    registry.resolve("generator", "unet")
    assert not is_imported()
    assert registry.resolve("loss", "lines", {"width": 3}).component.factory.__name__ == "lines"
    assert is_imported()
    assert registry.plugins.versions() == {"acme": "1.2"}


def test_none_of_the_built_ins_is_imported_for_a_list(python, tmp_path):
    code = """
        import sys
        from p2pkit.catalog import entries
        from p2pkit.registry import load_registry

        names = [entry.name for entry in entries(load_registry(discover=False), "generator")]
        print("unet_256" in names, "torch" in sys.modules, "p2pkit.builtin" in sys.modules)
    """
    assert [python(code, tmp_path) for _ in range(2)] == ["True True True\n", "True False False\n"]


def test_what_has_changed_is_imported_anew(install, names):
    file = install(CODE) / "acme_module.py"
    names()
    file.write_text(file.read_text() + textwrap.dedent(READS))
    registry = names()
    assert is_imported()
    assert "reader" in {offer.kind for offer in registry.plugins.offers if offer.plugin == "acme"}


def test_so_is_all_where_something_is_installed_or_removed(install, names):
    site = install(CODE)
    names()
    (site / "other-1.0.dist-info").mkdir()
    names()
    assert is_imported()
    names()
    assert not is_imported()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"environment": "%s", "plugins": {"acme": 3}}', b"\xff" * 99])
def test_a_file_that_is_damaged_counts_as_nothing(install, names, cache, damage):
    install(CODE)
    names()
    (file,) = (cache / "offers").iterdir()
    whole = json.loads(file.read_bytes())
    file.write_bytes(damage.replace(b"%s", whole["environment"].encode()))
    assert losses(names()) == ["acme:lines", "lines"]
    assert is_imported()
    assert json.loads(file.read_bytes()) == whole


def test_a_cache_that_can_not_be_written_is_done_without(install, names, cache):
    install(CODE)
    cache.write_text("a file where a folder would be")
    for _ in range(2):
        assert losses(names()) == ["acme:lines", "lines"]
        assert is_imported()


def test_it_can_be_asked_for_all_anew(install, names, monkeypatch):
    install(CODE)
    names()
    monkeypatch.setenv("ACME_OFFERS", "lines dots")
    assert "dots" not in losses(names())
    monkeypatch.setenv(FRESH, "fresh")
    assert "dots" in losses(names())
    monkeypatch.delenv(FRESH)
    assert "dots" in losses(names())


def test_a_name_that_is_not_known_has_all_imported(install, names, monkeypatch):
    install(CODE)
    names()
    monkeypatch.setenv("ACME_OFFERS", "dots")
    assert names().resolve("loss", "dots").component.plugin == "acme"
    monkeypatch.setenv("ACME_OFFERS", "lines")
    assert kind_of(names(), "lines") == "loss"
    with pytest.raises(RegistryError, match="no loss is called 'dots'"):
        names().resolve("loss", "dots")


def test_one_that_fails_is_told_of_each_time(install, names):
    install("raise ValueError('no licence')")
    for _ in range(2):
        (complaint,) = names().plugins.complaints()
        assert "no licence" in complaint


def test_one_that_fails_when_it_is_asked_for_is_named(install, names, monkeypatch):
    install(CODE.replace("import os", "import os\n    os.environ['ACME_LICENCE']"))
    monkeypatch.setenv("ACME_LICENCE", "1")
    names()
    monkeypatch.delenv("ACME_LICENCE")
    registry = names()
    assert losses(registry)
    with pytest.raises(RegistryError, match=r"failed to load: acme \(KeyError: 'ACME_LICENCE'\)"):
        registry.resolve("loss", "acme:lines")
    assert losses(registry) == []


def test_who_listens_is_imported_when_a_run_begins(install, names, tmp_path, monkeypatch):
    install(CODE + LISTENS)
    names()
    assert "replayed" in replay(names().plugins, tmp_path)
    assert is_imported()
    file = tmp_path / "site" / "acme_module.py"
    file.write_text("import os\nos.environ['ACME_LICENCE']\n" + file.read_text())
    monkeypatch.setenv("ACME_LICENCE", "1")
    names()
    monkeypatch.delenv("ACME_LICENCE")
    said = []
    facts = p2pkit.DatasetFacts("none", p2pkit.PairSpec(p2pkit.ImageSpec(3), p2pkit.ImageSpec(3), 16, 16), {}, "")
    run = p2pkit.Run("x", "training", tmp_path, {}, facts, {})
    Events(names().plugins, run, said.append)
    assert said == ["plugin acme (acme-dist) is left out: KeyError: 'ACME_LICENCE'"]


def test_a_reader_is_imported_when_it_reads(install, names, tmp_path):
    install(READS)
    names()
    registry = names()
    assert p2pkit.is_image_name("a.acmegrid")
    (tmp_path / "a.acmegrid").write_bytes(b"x")
    assert not is_imported()
    np.testing.assert_array_equal(p2pkit.read_image(tmp_path / "a.acmegrid"), np.full((1, 2, 3), 7, np.uint8))
    assert is_imported()
    assert registry.plugins.components


def test_threads_that_read_at_once_import_it_once(install, names, tmp_path):
    install("import time\ntime.sleep(0.2)\nprint('imported')\n" + textwrap.dedent(READS))
    names()
    begun = names()
    (tmp_path / "a.acmegrid").write_bytes(b"x")
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(p2pkit.read_image, [tmp_path / "a.acmegrid"] * 4))
    assert {tuple(image.shape) for image in images} == {(1, 2, 3)}
    assert begun.plugins.complaints() == []
