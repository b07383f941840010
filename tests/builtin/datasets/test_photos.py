"""Photos whose sources are made from them."""

import pickle

import numpy as np
import pytest
import torch

from p2pkit import ComponentError, DataError, ImageSpec, conform, to_network
from p2pkit.builtin.datasets import colorize, edges


def half_dark(size=32, channels=3, dtype=np.uint8):
    image = np.zeros((size, size, channels), dtype)
    image[:, size // 2 :] = np.iinfo(dtype).max
    return image[..., 0] if channels == 1 else image


def test_colorize_gives_the_lightness_of_the_photo(tmp_path, save):
    photo = torch.from_numpy(save("train/a.png")).permute(2, 0, 1)
    dataset = colorize(root=tmp_path)
    pair = dataset.pairs("train")[0]
    assert torch.equal(pair.target, photo)
    assert torch.equal(pair.source, conform(photo, ImageSpec(1, lightness=True)))
    assert dataset.spec.source == ImageSpec(1, lightness=True)
    assert dataset.spec.target == ImageSpec(3)


def test_colorize_takes_grey_clear_and_deep_photos_too(tmp_path, save):
    save("train/a.npy", half_dark(dtype=np.uint16))
    save("train/b.png", channels=1)
    save("train/c.png", channels=4)
    dataset = colorize(root=tmp_path, size=16)
    assert dataset.spec.source.high == 65535
    for pair in dataset.pairs("train"):
        assert (pair.source.shape, pair.target.shape) == ((1, 16, 16), (3, 16, 16))
        assert pair.source.dtype == pair.target.dtype == torch.uint16


def test_colorize_takes_floats_of_a_range(tmp_path, save):
    save("train/a.npy", half_dark().astype(np.float32) * 2 - 100)
    dataset = colorize(root=tmp_path, float_range=(-100.0, 410.0))
    pair = dataset.pairs("train")[0]
    seen = to_network(pair.source[None], dataset.spec.source)
    assert seen.aminmax() == (pytest.approx(-1, abs=1e-5), pytest.approx(1, abs=1e-5))


def test_half_of_a_file_can_be_the_photo(tmp_path, save):
    array = torch.from_numpy(save("train/a.png", size=(8, 16))).permute(2, 0, 1)
    assert torch.equal(colorize(root=tmp_path, half="left").pairs("train")[0].target, array[:, :, :8])
    assert torch.equal(edges(root=tmp_path, half="right").pairs("train")[0].target, array[:, :, 8:])


@pytest.mark.parametrize("detector", ["canny", "sobel"])
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16)])
def test_edges_are_dark_lines_on_white(tmp_path, save, detector, channels, dtype):
    array = half_dark(channels=channels, dtype=dtype)
    if channels == 4:
        array[..., 3] = 255
    save("train/a.png", array)
    dataset = edges(root=tmp_path, detector=detector)
    pair = dataset.pairs("train")[0]
    assert dataset.spec.source == ImageSpec(1)
    assert pair.source.dtype == torch.uint8
    assert pair.target.shape[0] == channels
    columns = (pair.source[0] == 0).sum(0)
    assert columns[14:18].max() >= 28, "the border is a line"
    assert columns[:12].max() == columns[20:].max() == 0, "the rest is white"
    assert pair.source[0, :, :12].min() == 255


def test_thresholds_say_what_an_edge_is(tmp_path, save):
    save("train/a.png", (half_dark() // 8).astype(np.uint8))
    dark = [
        int((edges(root=tmp_path, detector=detector, low=low, high=high).pairs("train")[0].source < 128).sum())
        for detector in ("canny", "sobel")
        for low, high in ((0.05, 0.1), (0.9, 2.0))
    ]
    assert dark[0] > 0
    assert dark[2] > 0
    assert dark[1] == dark[3] == 0


def test_edges_are_found_at_the_size_in_use(tmp_path, save):
    save("train/a.png", half_dark(64))
    dataset = edges(root=tmp_path, size=32)
    assert dataset.pairs("train")[0].source.shape == (1, 32, 32)
    large = dataset.at(48, 48).pairs("train")[0].source
    assert large.shape == (1, 48, 48)
    assert set(large.unique().tolist()) == {0, 255}


def test_pairs_can_be_sent_and_the_detector_is_in_the_fingerprint(tmp_path, save):
    save("train/a.png", half_dark())
    dataset = edges(root=tmp_path)
    assert torch.equal(pickle.loads(pickle.dumps(dataset.pairs("train")))[0].source, dataset.pairs("train")[0].source)
    assert dataset.fingerprint("train") != edges(root=tmp_path, low=0.2).fingerprint("train")


def test_what_can_not_be_is_refused(tmp_path, save):
    save("train/a.npy", np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(ComponentError, match="has 5 channels, where 3 are wanted"):
        colorize(root=tmp_path)
    with pytest.raises(ComponentError, match="low: 2 is not below high: 1") as caught:
        edges(root=tmp_path, low=2.0, high=1.0)
    assert caught.value.parameter == "low"
    with pytest.raises(DataError, match=r"a\.npy"):
        edges(root=tmp_path).pairs("train")[0]
