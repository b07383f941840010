"""From docstrings, signatures and JSON schemas to Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from p2pkit.untyped import WRITTEN_OUT

Schema = Mapping[str, Any]
_WIDTH = 100
_PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "object": "mapping"}
_ITEM = re.compile(r"(\*{0,2}[\w.]+): (.*)", re.DOTALL)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; cells are Markdown already, but for their bars."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Write something as code; nothing at all where it is empty."""
    return f"`{text}`" if str(text) else ""


def value(default: object) -> str:
    """Write a default as YAML has it."""
    default = str(default) if isinstance(default, Path) else default
    text: str = yaml.safe_dump(default, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip().removeprefix("''")


def plain(text: str) -> str:
    """Escape what Markdown would take for markup, outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[\]])", r"\\\1", part) for part in parts)


def docstring(doc: str, *, leave_out: Sequence[str] = ()) -> str:
    """Write a Google-style docstring as Markdown: sections become lists, Shape and Source are set off.

    Args:
        doc: The cleaned docstring.
        leave_out: Sections that are not wanted.
    """
    written = []
    for title, body in _sections(doc):
        if title in leave_out:
            continue
        if title == "":
            written.append(plain(body))
        elif title in ("Args", "Raises"):
            items = (_ITEM.fullmatch(item) for item in _items(body))
            lines = [f"- `{match[1]}`: {plain(match[2])}" for match in items if match]
            written.append("\n".join([f"**{_TITLES[title]}**", "", *lines]))
        else:
            written.append(f"**{title}:** {plain(body)}")
    return "\n\n".join(written)


_TITLES = {"Args": "Arguments", "Raises": "Errors"}


def _sections(doc: str) -> Iterator[tuple[str, str]]:
    """Yield (title, body); the text outside of all sections has an empty title."""
    starts = r"^(?=(?:Args|Returns|Raises):$|(?:Shape|Source): )"
    for part in re.split(starts, doc, flags=re.MULTILINE):
        title, colon, body = part.partition(":")
        named = colon and title in ("Args", "Returns", "Raises", "Shape", "Source")
        if named and title not in ("Shape", "Source"):
            body, _, rest = inspect.cleandoc(body).partition("\n\n")
            yield title, body if title != "Returns" else " ".join(body.split())
            if rest.strip():
                yield "", rest.strip()
        elif named:
            yield title, " ".join(body.split())
        elif part.strip():
            yield "", part.strip()


def _items(body: str) -> Iterator[str]:
    """Yield each `name: text` of a section on one line."""
    for item in re.split(r"\n(?=\S)", inspect.cleandoc(body)):
        yield " ".join(item.split())


def signature(name: str, function: Callable[..., Any], *, types: bool = True) -> str:
    """Write a signature without quotes around its annotations, a long one with a line for each argument."""
    try:
        found = inspect.signature(function)
    except ValueError:  # a class that is made as the built-in one it derives from
        return name
    written: list[str] = []
    for argument in found.parameters.values():
        if argument.name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and not any(text.startswith("*") for text in written):
            written.append("*")
        stars = _STARS.get(argument.kind.name, "")
        typed = f": {_annotation(argument.annotation)}" if types and argument.annotation is not argument.empty else ""
        given = "" if argument.default is argument.empty else f"={_default(argument.default)}"
        written.append(f"{stars}{argument.name}{typed}{given.replace('=', ' = ') if typed else given}")
    returned = types and found.return_annotation is not found.empty
    after = f" -> {_annotation(found.return_annotation)}" if returned else ""
    line = f"{name}({', '.join(written)}){after}"
    return (
        line if len(line) <= _WIDTH else "\n    ".join([f"{name}(", *(f"{each}," for each in written)]) + f"\n){after}"
    )


_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return re.sub(rf"\b({'|'.join(WRITTEN_OUT)})\b", lambda found: WRITTEN_OUT[found[0]], text)


def _default(default: object) -> str:
    return "..." if "factory" in repr(default) else repr(default)


def type_text(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """Write a JSON schema's type as people read it: `int 2 to 10 | null`."""
    if schema.get("$ref", "").endswith("/ComponentConfig"):
        return "component"
    if "$ref" in schema:
        return type_text(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_text(choice, definitions) for choice in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        words = [choice for choice in choices if not isinstance(choice, bool)]  # on and off are words here
        return " | ".join(map(value, words or choices))
    if schema.get("type") == "array":
        inner = schema.get("prefixItems") or [schema.get("items", {})]
        more = [] if "prefixItems" in schema else ["..."]
        return "[" + ", ".join([*(type_text(item, definitions) for item in inner), *more]) + "]"
    kind: str = schema.get("type", "any")
    return f"{_PLAIN.get(kind, kind)} {', '.join(_bounds(schema))}".rstrip()


def _bounds(schema: Schema) -> Iterator[str]:
    if "minimum" in schema and "maximum" in schema:
        yield f"{schema['minimum']:g} to {schema['maximum']:g}"
        return
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    yield from (f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema)
