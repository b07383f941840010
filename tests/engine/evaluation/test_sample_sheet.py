"""The sample sheet, down to its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from p2pkit.engine.evaluation.sample_sheet import _FONT, Row, _cut, draw_sheet, side_by_side

RED, BLUE = [255, 0, 0], [0, 0, 255]


def plain(colour, height=16, width=16):
    return np.full((height, width, 3), colour, np.uint8)


def drawn(path, *args):
    draw_sheet(*args, path)
    return np.asarray(Image.open(path))


def share(pixels, colour):
    return int((pixels == colour).all(-1).sum())


def test_sheet_has_a_row_for_each_pair(tmp_path):
    red, blue = (np.full((16, 16, 3), colour, np.uint8) for colour in ([255, 0, 0], [0, 0, 255]))
    draw_sheet([Row("one", (red, blue)), Row("two", (blue, red))], ("source", "fake"), tmp_path / "a" / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "a" / "sheet.png"))
    reds = (pixels == [255, 0, 0]).all(-1)
    assert reds.sum() == 2 * 128 * 128  # enlarged eightfold, nothing blurred
    assert reds[:, : pixels.shape[1] // 2].sum() == 128 * 128


def test_pictures_are_joined_in_order():
    joined = side_by_side([plain(RED, width=2), plain(BLUE, width=3)])
    assert joined.shape == (16, 5, 3)
    assert (joined[:, :2] == RED).all()
    assert (joined[:, 2:] == BLUE).all()


@pytest.mark.parametrize(("height", "factor"), [(16, 8), (100, 2), (128, 1), (200, 1)])
def test_small_pictures_are_enlarged_by_whole_numbers(tmp_path, height, factor):
    pixels = drawn(tmp_path / "a.png", [Row("one", [plain(RED, height, 10)])], ["fake"])
    assert share(pixels, RED) == height * 10 * factor**2


def test_many_rows_stand_in_blocks_that_all_have_titles(tmp_path):
    one = drawn(tmp_path / "one.png", [Row("a", [plain(RED)])], ["fake"])
    many = drawn(tmp_path / "many.png", [Row("a", [plain(RED)]) for _ in range(12)], ["fake"])
    assert share(many, RED) == 12 * share(one, RED)
    assert 0.4 < many.shape[0] / many.shape[1] < 2.5
    blocks = many.shape[1] // one.shape[1]
    assert blocks > 1
    ink = (many[:22] != 255).any(-1)
    assert all(ink[:, i * one.shape[1] : (i + 1) * one.shape[1]].any() for i in range(blocks))


def test_a_title_of_two_lines_takes_the_room_of_two(tmp_path):
    low, high = (drawn(tmp_path / f"{len(t)}.png", [Row("a", [plain(RED)])], [t]) for t in ("fake", "fake\n1"))
    assert high.shape[0] - low.shape[0] == 22
    assert share(low, RED) == share(high, RED)


def test_names_are_cut_in_their_middle_to_what_fits():
    assert _cut("short", 200) == "short"
    cut = _cut("a-very-long-name-that-does-not-fit-0017.png", 100)
    assert _FONT.getlength(cut) <= 100
    start, end = cut.split("..")
    assert "a-very-long-name-that-does-not-fit-0017.png".startswith(start)
    assert "a-very-long-name-that-does-not-fit-0017.png".endswith(end)
    assert len(start) >= 1
    assert len(end) >= 1
    assert ".." in _cut("anything", 1)  # as short as it gets
