"""Videos: each frame is translated as an image is, its time and the sound are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from p2pkit.errors import first_line
from p2pkit.images.codec import MADE_BY
from p2pkit.images.convert import stored_type
from p2pkit.images.files import image_tensor, writing_whole
from p2pkit.images.listing import VIDEO_SUFFIXES
from p2pkit.inference.companions import Input
from p2pkit.types import ImageSpec
from p2pkit.untyped import Untyped

_QUALITY = {"crf": "17", "preset": "veryfast"}
_BT709, _LIMITED = 1, 1  # as FFmpeg numbers them
_WEB = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "4"}
See = Callable[[Tensor], Input]
Translate = Callable[[list[Input]], list[Tensor]]
Report = Callable[[int, int], None]


def is_video(path: Path) -> bool:
    """Say whether a name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_held(target: ImageSpec) -> bool:
    """Say whether videos hold what fakes are: bytes that show something, grey or red, green and blue."""
    return target.kind != "labels" and stored_type(target) == torch.uint8 and target.channels in (1, 3)


def is_fake_video(path: Path) -> bool:
    """Say whether a video was made by translating."""
    try:
        with _opened(path) as source:
            return MADE_BY in source.metadata.values()
    except OSError:
        return False


@dataclass(frozen=True)
class Video:
    """A video that is read, translated and written frame by frame.

    Args:
        path: The file.
        see: Turns a frame as stored into what the network is given.
    """

    path: Path
    see: See

    def translate(self, out: Path, translate: Translate, batch: int, report: Report | None) -> Path:
        """Write the fakes of all frames as a video.

        Args:
            out: The file; by its suffix H.264, or VP9 for .webm.
            translate: Makes the fakes of some frames.
            batch: Of how many at a time.
            report: Called with the number of frames that are done, and of all as far as the file says it.

        Raises:
            OSError: The video can't be read or written.
        """
        with _opened(self.path) as source, writing_whole(out, f".partial{out.suffix}") as partial:
            import av

            if not source.streams.video:
                raise OSError("holds no pictures")
            video, done = source.streams.video[0], 0
            video.thread_type = "AUTO"
            options = {"movflags": "+faststart"} if out.suffix.lower() in (".mp4", ".m4v", ".mov") else {}
            with _told(), av.open(str(partial), "w", options=options) as made:
                made.metadata["comment"] = MADE_BY
                sounds = {sound: made.add_stream_from_template(sound) for sound in source.streams.audio}
                heard: list[Untyped] = []
                rest = _frames(source, video, sounds, heard)
                stream: Untyped = None
                while frames := list(islice(rest, batch)):
                    fakes = translate([self.see(image_tensor(_upright(frame))) for frame in frames])
                    stream = stream or _stream(made, video, fakes[0], out)
                    for frame, fake in zip(frames, fakes, strict=True):
                        made.mux(stream.encode(_as_frame(fake, frame, stream.pix_fmt)))
                    made.mux(heard)
                    heard.clear()
                    done += len(frames)
                    if report is not None:
                        report(done, max(video.frames, done))
                if stream is None:
                    raise OSError("holds no pictures")
                made.mux([*stream.encode(None), *heard])
        return out


def _frames(source: Untyped, video: Untyped, sounds: Untyped, heard: list[Untyped]) -> Iterator[Untyped]:
    """Yield a video's frames, and gather the sound between them, to be written as it is."""
    for packet in source.demux(video, *sounds):
        if packet.stream is video:
            yield from packet.decode()
        elif packet.dts is not None:
            packet.stream = sounds[packet.stream]
            heard.append(packet)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what goes wrong with a video as what goes wrong with a file."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, first_line(error.strerror or error)) from error


@contextmanager
def _opened(path: Path) -> Iterator[Untyped]:
    try:
        import av
    except ImportError:
        raise OSError("is a video, and PyAV is not installed: pip install 'p2pkit[video]'") from None
    with _told(), av.open(str(path)) as opened:
        yield opened


def _upright(frame: Untyped) -> Untyped:
    """Return a frame's colours, turned as it is to be shown."""
    colours = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(colours, frame.rotation // 90))


def _stream(made: Untyped, video: Untyped, fake: Tensor, out: Path) -> Untyped:
    """Add the stream of fakes: of their size, at the times of the video's frames."""
    web = out.suffix.lower() == ".webm"
    stream = made.add_stream("libvpx-vp9" if web else "libx264", rate=video.average_rate or 25)
    stream.options = _WEB if web else _QUALITY
    stream.height, stream.width = fake.shape[1:]
    stream.pix_fmt = "yuv444p" if fake.shape[1] % 2 or fake.shape[2] % 2 else "yuv420p"
    stream.codec_context.time_base = video.time_base
    stream.codec_context.colorspace, stream.codec_context.color_range = _BT709, _LIMITED
    return stream


def _as_frame(fake: Tensor, frame: Untyped, kind: str) -> Untyped:
    """Return a fake as a frame that is shown when the source's was."""
    import av

    array = fake.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    made = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format=kind, dst_colorspace="ITU709")
    made.pts, made.time_base = frame.pts, frame.time_base
    return made
