"""YAML files that people write: read one, and say in their words what is wrong with its structure."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterable, Sequence
from importlib.resources.abc import Traversable
from reprlib import Repr
from typing import TypeGuard, TypeVar

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from p2pkit.errors import P2pkitError, Problem
from p2pkit.passwords import without_password
from p2pkit.untyped import Json, Untyped
from p2pkit.yaml_reader import MOST_LETTERS, NotYaml, parse_yaml

T = TypeVar("T")

MOST_PROBLEMS = 100


class _Short(Repr):
    """Writes values shortly, and addresses without what opens them."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(without_password(x), level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40


def read_mapping(file: Traversable, origin: str, error: type[P2pkitError]) -> dict[str, Json]:
    """Read a YAML file that holds keys and values.

    Args:
        file: The file.
        origin: What messages call it.
        error: What to raise.

    Raises:
        P2pkitError: Of the type `error`; the file is not text, not YAML, or holds something else.
    """
    try:
        with file.open("r", encoding="utf-8") as opened:
            data = parse_yaml(opened.read(MOST_LETTERS + 1))
    except UnicodeDecodeError:
        raise error(Problem(origin, "not a text in UTF-8", "save it as UTF-8")) from None
    except OSError as wrong:
        raise error(Problem(origin, f"can't be read: {wrong.strerror}")) from None
    except NotYaml as wrong:
        raise error(Problem(origin, str(wrong))) from None
    if data is not None and not isinstance(data, dict):
        raise error(Problem(origin, f"must hold keys and values, not a {type(data).__name__}"))
    return data or {}


def shortened(value: object) -> str:
    """Write a value that somebody gave, as far as a message has room for it."""
    return _SHORT.repr(value)


def did_you_mean(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return a question that offers the names nearest to a wrong one, with a space after it; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


def first_problems(found: Sequence[T], tell: Callable[[T], Problem]) -> list[Problem]:
    """Tell of what is wrong; of the first ones only, where there are more than anybody reads.

    Args:
        found: Pydantic's errors.
        tell: Makes a problem of one.
    """
    more = [Problem("", f"and {len(found) - MOST_PROBLEMS:,} mistakes more")] if len(found) > MOST_PROBLEMS else []
    return [*map(tell, found[:MOST_PROBLEMS]), *more]


def structural_problem(
    found: ErrorDetails, model: type[BaseModel], data: Json, prefix: str = "", extra: Sequence[str] = ()
) -> Problem:
    """Tell of one of pydantic's errors.

    Args:
        found: The error, as `ValidationError.errors()` lists it.
        model: The model of the whole document.
        data: The document.
        prefix: What the path begins with.
        extra: Keys that are allowed at the top besides the model's.
    """
    loc = _place(found["loc"], data)
    path = prefix + ".".join(map(str, loc))[:200]
    if found["type"] == "extra_forbidden":
        known = _keys_at(model, loc[:-1]) + ([] if loc[:-1] else list(extra))
        hint = did_you_mean(str(loc[-1]), known, n=2)
        return Problem(path, f"there is no key {shortened(str(loc[-1]))} here", f"{hint}keys: {', '.join(known)}")
    if found["type"] == "missing":
        return Problem(path, "this key is missing", _description(model, loc))
    if found["type"] in ("model_type", "dict_type"):
        return Problem(path, f"must hold keys and values, got {shortened(found['input'])}", _description(model, loc))
    message = found["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found["input"], dict) else f", got {shortened(found['input'])}"
    return Problem(path, f"{message[0].lower()}{message[1:]}{shown}", _description(model, loc))


def _place(loc: Sequence[int | str], data: Json) -> list[int | str]:
    """Return keys and indices without pydantic's notes on unions and keys, such as `list[str]`."""
    place = []
    for part in loc:
        inside = isinstance(data, list) and isinstance(part, int) and part < len(data)
        there = part in data if isinstance(data, dict) else inside
        if there:
            data = data[part]
        if there or (isinstance(data, dict) and "[" not in str(part)):
            place.append(part)
    return place


def _keys_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the keys that are allowed at a place of a document."""
    return list(here.model_fields) if _is_model(here := _type_at(model, loc)) else []


def _description(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """Return what the model says of the key at a place."""
    above = _type_at(model, loc[:-1]) if loc else None
    return above.model_fields[loc[-1]].description or "" if _is_model(above) and loc[-1] in above.model_fields else ""


def _type_at(model: Untyped, loc: Sequence[int | str]) -> Untyped:
    for part in loc:
        if _is_model(model):
            model = _model_in(model.model_fields[part].annotation) if part in model.model_fields else None
        else:  # a name or an index: its type is the container's last argument
            model = (typing.get_args(model) or (None,))[-1]
    return model


def _model_in(kind: Untyped) -> Untyped:
    """Return the model of a section that may be null; any other type as it is."""
    return next(filter(_is_model, typing.get_args(kind)), kind) if type(None) in typing.get_args(kind) else kind


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
