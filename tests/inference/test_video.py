"""Videos become videos: every frame at its time, the sound as it was, and nothing else is taken for one."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from p2pkit import DataError, ImageSpec

from .test_translate import translator

av = pytest.importorskip("av", reason="PyAV is not installed")
TIMES = (0, 1, 2, 4, 5, 9)


def grey(level: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_clip(path: Path, *, turned: int = 0, sound: bool = True, shape: tuple[int, int] = (32, 48)) -> list[bytes]:
    """Write frames of grey, at uneven times, with a tone; return the packets of the tone."""
    packets = []
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *shape, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        if turned:
            stream.set_display_rotation(turned)
        tone = made.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number, time in enumerate(TIMES):
            picture = grey(40 * number, *shape)
            picture[: shape[0] // 2, : shape[1] // 2] = 255 if turned else 40 * number
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
        if tone is not None:
            wave = (np.sin(np.arange(8192) / 5) / 2).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.rate, frame.pts = 8000, 0
            encoded = [*tone.encode(frame), *tone.encode(None)]
            packets = [bytes(packet) for packet in encoded]
            made.mux(encoded)
    return packets


def read_clip(path: Path) -> tuple[list[np.ndarray], list[float], list[bytes]]:
    with av.open(str(path)) as opened:
        frames = [(frame.to_ndarray(format="rgb24"), frame.time) for frame in opened.decode(video=0)]
    with av.open(str(path)) as opened:
        sound = (
            [bytes(packet) for packet in opened.demux(audio=0) if packet.dts is not None]
            if opened.streams.audio
            else []
        )
    return [frame for frame, _ in frames], [float(time) for _, time in frames], sound


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_frame_is_translated_at_its_time_and_the_sound_is_kept(tmp_path, suffix):
    clip = tmp_path / f"clip{suffix}"
    sound = write_clip(clip)
    told = []
    options = {"batch": 4, "report": lambda done, total: told.append((done, total))}
    (made,) = translator().translate_files(clip, tmp_path / "out", **options)
    assert made == tmp_path / "out" / f"clip{suffix}"
    frames, times, kept = read_clip(made)
    assert times == pytest.approx([time / 10 for time in TIMES], abs=0.002)
    for number, frame in enumerate(frames):
        np.testing.assert_allclose(frame.astype(int), 255 - 40 * number, atol=4)
    assert kept == sound
    assert [done for done, _ in told][:2] == [4, 6]


def test_colours_are_those_of_the_frames(tmp_path):
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as made:
        stream = made.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv444p"
        made.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), (200, 40, 90), np.uint8), format="rgb24"))
        )
        made.mux(stream.encode(None))
    translator().translate_files(clip, tmp_path / "out")
    frames, _, _ = read_clip(tmp_path / "out" / "clip.mp4")
    np.testing.assert_allclose(frames[0].reshape(-1, 3).mean(0), (55, 215, 165), atol=5)


def test_a_turned_video_is_turned_for_the_network_and_sides_may_be_odd(tmp_path):
    write_clip(tmp_path / "clip.mp4", turned=90, sound=False)
    translator().translate_files(tmp_path / "clip.mp4", tmp_path / "fake.mov")
    frames, _, _ = read_clip(tmp_path / "fake.mov")
    assert frames[0].shape == (48, 32, 3)
    corners = frames[1][4, 4, 0], frames[1][-4, 4, 0]
    assert corners[1] < 20  # the white corner, top left before it was turned a quarter to the left
    assert corners[0] > 200


def test_grey_fakes_of_odd_sides_are_a_video_too(tmp_path):
    write_clip(tmp_path / "clip.mkv", sound=False)
    model = translator(target=ImageSpec(1))
    model.generator.forward = lambda source: -source[:, :1]
    model.translate_files(tmp_path / "clip.mkv", tmp_path / "out", size=(31, 45))
    frames, _, _ = read_clip(tmp_path / "out" / "clip.mkv")
    assert frames[0].shape == (31, 45, 3)
    np.testing.assert_allclose(frames[2].astype(int), 255 - 80, atol=4)


def test_what_no_video_can_be_is_refused_before_anything_is_written(tmp_path):
    write_clip(tmp_path / "clip.mp4", sound=False)
    with pytest.raises(DataError, match="a video becomes a video"):
        translator().translate_files(tmp_path / "clip.mp4", tmp_path / "fake.png")
    with pytest.raises(DataError, match="1 or 3 channels of 8 bits"):
        translator(target=ImageSpec(6)).translate_files(tmp_path / "clip.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_video_is_named_and_nothing_half_is_left(tmp_path):
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes()[:200])
    (tmp_path / "none.mp4").write_bytes(b"nothing")
    with pytest.raises(DataError) as raised:
        translator().translate_files([tmp_path / "clip.mp4", tmp_path / "none.mp4"], tmp_path / "out")
    assert [problem.path for problem in raised.value.problems] == [
        str(tmp_path / "clip.mp4"),
        str(tmp_path / "none.mp4"),
    ]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_fake_is_known_again_and_another_video_is_not_overwritten(tmp_path):
    write_clip(tmp_path / "clip.mp4", sound=False)
    model = translator()
    for _ in range(2):
        model.translate_files(tmp_path / "clip.mp4", tmp_path / "out")
    write_clip(tmp_path / "out" / "clip.mp4", sound=False)
    with pytest.raises(DataError, match="can't be told to be a fake"):
        model.translate_files(tmp_path / "clip.mp4", tmp_path / "out")


def test_what_reads_videos_is_named_where_it_is_missing(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.mp4", sound=False)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install 'p2pkit\[video\]'"):
        translator().translate_files(tmp_path / "clip.mp4", tmp_path / "out")
