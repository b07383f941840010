"""The index of shards: what the files beside it hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote, unquote

from pydantic import Field, TypeAdapter

from p2pkit.types import PairSpec
from p2pkit.untyped import Plain


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of pairs.

    Args:
        file: Its path or URL; in an index, from the index's folder.
        pairs: How many pairs it holds.
        bytes: Its size; None where that is not known.
    """

    file: str
    pairs: Annotated[int, Field(ge=0, lt=2**48)]
    bytes: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What `p2pkit data shard` writes beside its shards, as shards.json.

    Args:
        spec: What the pairs hold; it is stored exactly so.
        splits: The shards of each split, in order.
        fingerprints: For each split a short text that changes when its pairs do.
        made_from: The dataset that was written, as a config names it.
        format: Version of this file.

    A shard is a `.npy` file of records (key, source, target, and extras by name) with images (C, H, W); or a tar file,
    which holds an image as PNG, or under the suffix `RAW` as a NumPy array (C, H, W), and a vector as a NumPy array.
    """

    FILE: ClassVar[str] = "shards.json"
    RAW: ClassVar[str] = "chw.npy"

    spec: PairSpec
    splits: Mapping[str, tuple[Shard, ...]]
    fingerprints: Mapping[str, str]
    made_from: Plain = field(default_factory=dict)
    format: Literal[1] = 1

    def text(self) -> str:
        """Return the file's text."""
        return _adapter().dump_json(self, indent=1).decode() + "\n"

    @staticmethod
    def parse(text: str | bytes) -> ShardIndex:
        """Read the file's text.

        Raises:
            ValueError: It is no index, or of a later version.
        """
        return _adapter().validate_json(text)

    @staticmethod
    def key_of(name: str) -> str:
        """Return what a pair is called in a shard; in a tar file a dot ends a name, and leading underscores hide it."""
        key = quote(name, safe="/ ").replace(".", "%2E")
        return f"%5F{key[1:]}" if key.startswith("_") else key

    @staticmethod
    def name_of(key: str) -> str:
        """Return the name of a pair by what it is called in a shard."""
        return unquote(key)


@cache
def _adapter() -> TypeAdapter[ShardIndex]:
    return TypeAdapter(ShardIndex)
