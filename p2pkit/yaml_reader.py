"""The one way in which YAML is read: plain values alone, and no more of them than a person would write."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from p2pkit.untyped import Json, Untyped

MOST_LETTERS = 500_000
MOST_VALUES = 20_000
"""Counted as if each alias were written out, since a few lines of aliases can mean billions of values."""
DEEPEST = 50
_LARGEST = 2**64
_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")


class NotYaml(Exception):
    """A text that can't be read as YAML; says why in one line, with line and column where there are some."""


def parse_yaml(text: str) -> Json:
    """Read a text.

    Keys are texts as they are written, so that `1.5`, `~`, `on` and a date are names like any other; a date is a text
    as a value too.

    Args:
        text: The text.

    Returns:
        What it holds: mappings, lists, texts, numbers, true and false, null.

    Raises:
        NotYaml: It isn't YAML, holds objects of Python's, or is larger or deeper than the limits above.
    """
    if len(text) > MOST_LETTERS:
        raise NotYaml(f"too large: {len(text):,} letters, where {MOST_LETTERS:,} are allowed")
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise NotYaml(f"not YAML{where}: {wrong.problem or wrong.context}") from None
    except yaml.reader.ReaderError as wrong:
        before = text[: wrong.position]
        where = f"line {before.count(chr(10)) + 1}, column {wrong.position - before.rfind(chr(10))}"
        raise NotYaml(f"not YAML in {where}: a letter that is not allowed, number {wrong.character}") from None


class _Loader(yaml.SafeLoader):
    """Counts while it reads, before anything is built."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._depth = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Read one value with all that is in it."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it bare
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor in self.anchors and anchor not in self._sizes:
                self._refuse("a value that contains itself", event)
            self._count += self._sizes.get(str(anchor), 0)
        self._count += 1
        self._depth += 1
        if self._count > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES:,} values, aliases written out", event)
        if self._depth > DEEPEST:
            self._refuse(f"nested more than {DEEPEST} deep", event)
        before = self._count
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._sizes[anchor] = self._count - before + 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Json:
        """Make a value of what was read."""
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # each kind of value has its own way of not being one
            self._refuse(f"{_short(node)} is no value of its kind", node)
        if isinstance(value, int) and abs(value) >= _LARGEST:
            self._refuse("a number of more than 64 bits", node)
        return value

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Json]:
        """Make a mapping, each key the text that is written."""
        if not isinstance(node, MappingNode):
            self._refuse("keys and values are wanted here", node)
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                self._refuse("a key has to be a word", key)
            key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def _refuse(self, problem: str, at: Untyped) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _short(node: Node) -> str:
    return repr(str(node.value)[:40])


_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _TAGS
}
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
