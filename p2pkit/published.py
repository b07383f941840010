"""The paper's data sets: fetched from where its authors publish them, and unpacked."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from p2pkit.atomic_files import atomic_folder, require_room, writing
from p2pkit.errors import DataError, Problem, first_line

_PUBLISHER = "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
_BLOCK = 2**18
_PATIENCE = 60
_TRIES = 5
_MOST = 2**36
"""Bytes that may come out of an archive; the largest one holds some three billion."""
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Published:
    """A published data set of files with both images side by side.

    Args:
        name: What it is called.
        direction: From which half to which the paper translates.
        sha256: The archive's checksum, where one is known; the authors publish none.
    """

    name: str
    direction: str
    sha256: str = ""

    @property
    def address(self) -> str:
        """Where the authors have it."""
        return f"{_PUBLISHER}/{self.name}.tar.gz"


PUBLISHED = {
    each.name: each
    for each in (
        Published("facades", "b_to_a"),
        Published("cityscapes", "b_to_a"),
        Published("maps", "a_to_b"),
        Published("edges2shoes", "a_to_b"),
        Published("edges2handbags", "a_to_b"),
        Published("night2day", "a_to_b"),
    )
}


def fetch(name: str, output: str | Path, *, address: str = "", sha256: str = "", report: Report | None = None) -> str:
    """Fetch and unpack a data set; what an earlier, interrupted call has fetched is gone on with.

    Args:
        name: Its name, of `PUBLISHED`.
        output: The folder that is to hold its splits; must not exist.
        address: Another place that has the archive; by default the authors' own.
        sha256: The archive's checksum, to be held against what came; by default the one that is known, if any is.
        report: Hears how many bytes of how many are there.

    Returns:
        The checksum of what came.

    Raises:
        DataError: It can't be fetched, or is not what it should be; nothing is unpacked then.
    """
    output = Path(output)
    if output.exists():
        raise DataError(Problem(str(output), "is there already", "name a folder that is not, or remove this one"))
    published = PUBLISHED[name]
    archive = output.with_name(f".{output.name}.tar.gz.part")
    with writing(archive):
        archive.parent.mkdir(parents=True, exist_ok=True)
    _download(address or published.address, archive, report or (lambda done, total: None))
    found, wanted = _checksum(archive), (sha256 or published.sha256).lower()
    if wanted and found != wanted:
        archive.unlink()
        cause = f"what came has the SHA-256 {found}, and not {wanted}"
        raise DataError(Problem(address or published.address, cause, "fetch it again, or ask who told the checksum"))
    _unpack(archive, output, address or published.address)
    archive.unlink()
    archive.with_suffix(".json").unlink(missing_ok=True)
    return found


def _download(address: str, archive: Path, report: Report) -> None:
    """Fetch a file, or what is missing of it; a line that breaks is tried again from where it broke."""
    why = ""
    for _ in range(_TRIES):
        before = archive.stat().st_size if archive.exists() else 0
        try:
            if _one_try(address, archive, report):
                return
            why = "the line broke"
        except urllib.error.HTTPError as error:
            why = f"the server answers {error.code} {error.reason}"
            if error.code < 500:
                break
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = first_line(error)
        if before == (archive.stat().st_size if archive.exists() else 0) and not before:
            break
    remedy = "the same command goes on from where it broke; or name another place by --from"
    raise DataError(Problem(address, f"can't be fetched: {why}", remedy))


def _one_try(address: str, archive: Path, report: Report) -> bool:
    """Fetch what is missing of a file, and say whether it is whole now.

    A part is gone on with only if the server has the same file still, which its tag or date tells.
    """
    notes = archive.with_suffix(".json")
    there = archive.stat().st_size if archive.exists() else 0
    known = json.loads(notes.read_text()) if there and notes.exists() else {}
    headers = {"User-Agent": "p2pkit"}
    if known.get("address") == address and known.get("same"):
        headers |= {"Range": f"bytes={there}-", "If-Range": known["same"]}
    request = urllib.request.Request(address, headers=headers)
    if request.type not in ("http", "https"):
        raise ValueError("is neither an http nor an https address")
    if known.get("size") == there and "Range" in headers:
        return True
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # http or https, as seen above  # nosec B310
        goes_on = answer.status == 206
        there = there if goes_on else 0
        size = there + int(answer.headers.get("Content-Length") or 0)
        require_room(archive, size - there)
        same = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        with writing(archive), archive.open("ab" if goes_on else "wb") as file:
            if not goes_on:
                notes.write_text(json.dumps({"address": address, "same": same.removeprefix("W/"), "size": size}))
            while block := answer.read(_BLOCK):
                file.write(block)
                there += len(block)
                report(there, max(size, there))
    return there >= size


def _checksum(archive: Path) -> str:
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unpack(archive: Path, output: Path, address: str) -> None:
    """Unpack an archive's folders and files, and nothing else: no link, and nothing outside of the folder.

    The one folder that all lies in is left out.
    """
    try:
        with atomic_folder(output) as partial:
            total = 0
            with tarfile.open(archive, "r:gz") as tar, writing(output):
                for member in tar:
                    total += member.size
                    path = PurePosixPath(member.name)
                    if ".." in path.parts or path.is_absolute() or not (member.isfile() or member.isdir()):
                        raise tarfile.TarError(f"{member.name} is no file or folder inside of it")
                    if total > _MOST:
                        raise tarfile.TarError(f"it holds more than {_MOST} bytes")
                    content = tar.extractfile(member)
                    if content is not None and len(path.parts) > 1:
                        file = partial.joinpath(*path.parts[1:])
                        file.parent.mkdir(parents=True, exist_ok=True)
                        with file.open("wb") as written:
                            shutil.copyfileobj(content, written, _BLOCK)
            if not any(partial.iterdir()):
                raise tarfile.TarError("it holds no files")
    except (tarfile.TarError, EOFError) as error:
        cause = f"is no archive of a data set: {first_line(error)}"
        remedy = f"remove {archive}, and fetch it again or from another place by --from"
        raise DataError(Problem(address, cause, remedy)) from None
