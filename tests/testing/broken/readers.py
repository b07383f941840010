"""Readers of which each breaks the one rule that it is named after."""

import numpy as np

import p2pkit


class Sound:
    """Values after their shape."""

    def read(self, path):
        content = path.read_bytes()
        count = content[0]
        shape = tuple(np.frombuffer(content[1 : 1 + 4 * count], "<i4"))
        kind, _, values = content[1 + 4 * count :].partition(b"\n")
        return p2pkit.ImageFile(np.frombuffer(values, kind.decode()).reshape(shape))

    def write(self, path, image):
        pixels = np.ascontiguousarray(image.pixels)
        head = bytes([pixels.ndim]) + np.array(pixels.shape, "<i4").tobytes()
        path.write_bytes(head + pixels.dtype.str.encode() + b"\n" + pixels.tobytes())


class Flat(Sound):
    """Loses the shape."""

    def read(self, path):
        return p2pkit.ImageFile(super().read(path).pixels.ravel())

    write = None

    def example(self, path):
        Sound.write(self, path, p2pkit.ImageFile(np.zeros((4, 4), np.uint8)))


class Narrow(Sound):
    """Writes bytes, whatever it is given."""

    def write(self, path, image):
        super().write(path, p2pkit.ImageFile((image.pixels.astype("float32") / 2).astype("uint8")))


class Forgiving(Sound):
    """Takes an empty file for a black one."""

    def read(self, path):
        return super().read(path) if path.stat().st_size else p2pkit.ImageFile(np.zeros((2, 2), np.uint8))


class Greedy(Sound):
    """Takes files that are empty, or of zeros, for its own."""

    def sniff(self, head):
        return head[:1] < bytes([4])


class Late:
    """Rows that begin one too late."""

    levels, compressed = 0, False

    def __init__(self, pixels):
        self.pixels, (self.height, self.width) = pixels, pixels.shape[:2]

    def read(self, first, last):
        return np.roll(self.pixels, -1, 0)[first:last] + 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class Shifted(Sound):
    """Reads other rows than are asked for."""

    def rows(self, path):
        return Late(self.read(path).pixels)


@p2pkit.hookimpl
def p2pkit_readers():
    yield p2pkit.Reader("sniff", Greedy, suffixes=(".greedy",))
    yield p2pkit.Reader("rows", Shifted, suffixes=(".shifted",))
    yield p2pkit.Reader("is_an_image", Flat, suffixes=(".flat",))
    yield p2pkit.Reader("round_trip", Narrow, suffixes=(".narrow",))
    yield p2pkit.Reader("damaged", Forgiving, suffixes=(".forgiving",))
    yield p2pkit.Reader("nothing", Sound, suffixes=(".sound", ".sound.gz"))
