"""What lies below a folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from p2pkit.builtin.datasets import paired_folders
from p2pkit.images.finding import files_below, find_images


@pytest.fixture
def linked(tmp_path):
    """Make a folder with a link to another one, to itself, and to one that is not there."""
    for name in ("photos/a.png", "elsewhere/deep/b.png", "photos/.hidden/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "photos/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "photos", target_is_directory=True)
    (tmp_path / "photos/again").symlink_to(".", target_is_directory=True)
    (tmp_path / "photos/gone").symlink_to("nowhere", target_is_directory=True)
    return tmp_path


def test_links_to_folders_are_followed_but_never_in_circles(linked):
    found = [path.relative_to(linked / "photos").as_posix() for path in find_images(linked / "photos")]
    assert found == ["a.png", "more/deep/b.png"]
    assert [path.name for path in files_below(linked / "photos", deep=False) if path.suffix] == ["a.png"]


def test_a_folder_is_left_out_by_whichever_name(linked):
    assert [path.name for path in find_images(linked / "photos", without=linked / "elsewhere")] == ["a.png"]


def test_data_sets_follow_links_as_translating_does(linked):
    for side in ("source", "target"):
        (linked / "data" / side).mkdir(parents=True)
        (linked / "data" / side / "part").symlink_to(linked / "photos", target_is_directory=True)
    data = paired_folders(root=linked / "data", held_out=0)
    assert [pair.name for pair in data.pairs("train")] == ["part/a", "part/more/deep/b"]
