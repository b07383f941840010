"""Where a config comes from: recipe, file or mapping; `extends`, short forms and overrides."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from p2pkit.config.model import RunConfig
from p2pkit.errors import ConfigError, Problem
from p2pkit.untyped import Json, Plain
from p2pkit.yaml_files import did_you_mean, read_mapping, shortened
from p2pkit.yaml_reader import DEEPEST, NotYaml, parse_yaml

Raw = dict[str, Json]
SINGLE = ("dataset", "generator", "discriminator")
_LONGEST_CHAIN = 20
_DEFAULTS = {
    key: RunConfig.model_fields[key].get_default(call_default_factory=True)
    for key in ("generator", "discriminator", "losses")
}
_IMPLIED: Raw = RunConfig.model_construct(**_DEFAULTS).model_dump(exclude_unset=True)
"""What a config means that says nothing of its networks and losses; stated, so that overrides change it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A config before it is checked.

    Args:
        raw: The keys as written, short forms spelt out, `extends` followed, overrides laid on.
        origin: The file, or the recipe's name.
    """

    raw: Raw
    origin: str

    @property
    def name(self) -> str:
        """Short name for the run's folder."""
        return Path(self.origin).stem or "run"


def recipe_names() -> list[str]:
    """Return the names of the ready-made recipes; one in a folder has the folder's name before it, as in a path."""
    return sorted(_recipes_in(resources.files("p2pkit").joinpath("recipes")))


def _recipes_in(folder: Traversable, prefix: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _recipes_in(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")


def load_config(config: str | Path | Plain, overrides: Plain | None = None) -> Source:
    """Read a config.

    Args:
        config: A recipe's name, a YAML file, or the keys themselves.
        overrides: Keys to change, nested or with dots: `{"losses.l1.weight": 50}`.

    Returns:
        The config, not yet checked.

    Raises:
        ConfigError: There is no such recipe or file, or it isn't YAML.
    """
    if isinstance(config, Mapping):
        name, raw = "run", _extended(copy_plain(config), "the config", Path(), ())
    else:
        name, raw = _read(str(config), Path(), ())
    for key, value in (overrides or {}).items():
        raw = _laid(raw, _nested(key, copy_plain(value)))
    return Source(raw, name)


def copy_plain(value: Json, depth: int = 0) -> Json:
    """Copy mappings and lists; keys become texts, as they are in YAML.

    Raises:
        ConfigError: They hold themselves, or are deeper than YAML may be.
    """
    if depth > DEEPEST:
        raise ConfigError(Problem("", f"holds itself, or is nested more than {DEEPEST} deep"))
    if isinstance(value, Mapping):
        return {str(key): copy_plain(item, depth + 1) for key, item in value.items()}
    return [copy_plain(item, depth + 1) for item in value] if isinstance(value, list) else value


def _read(name: str, folder: Path, seen: tuple[str, ...]) -> tuple[str, Raw]:
    """Read a recipe by name or a file relative to a folder."""
    path = Path(os.path.normpath(folder / name))
    if name in recipe_names():
        origin, file, folder = name, resources.files("p2pkit").joinpath("recipes", f"{name}.yaml"), Path()
    elif os.path.isfile(path):  # which holds for no name that is too long
        origin, file, folder = str(path), path, path.parent
    else:
        remedy = f"{did_you_mean(name, recipe_names())}recipes: {', '.join(recipe_names())}"
        raise ConfigError(Problem(seen[-1] if seen else "", f"there is no recipe or file {shortened(name)}", remedy))
    if len(seen) == _LONGEST_CHAIN:
        remedy = "let it extend one of the first of these"
        raise ConfigError(Problem(seen[0], f"extends a file that extends another, {_LONGEST_CHAIN} times", remedy))
    if origin in seen:
        raise ConfigError(Problem(seen[0], f"extends itself: {' -> '.join([*seen, origin])}"))
    return origin, _extended(read_mapping(file, origin, ConfigError), origin, folder, (*seen, origin))


def _extended(raw: Raw, origin: str, folder: Path, seen: tuple[str, ...]) -> Raw:
    base = raw.pop("extends", None)
    if base is None:
        return _laid({}, {**_IMPLIED, **raw})
    if not isinstance(base, str):
        raise ConfigError(Problem(f"{origin}: extends", f"must name a recipe or a file, got {shortened(base)}"))
    _, below = _read(base, folder, seen)
    return _laid({key: value for key, value in below.items() if key not in ("summary", "origin")}, raw)


def _laid(base: Raw, top: Raw) -> Raw:
    """Lay keys as written over a config; the outcome has no short forms and no removed terms."""
    merged: Raw = merge(base, normalise(top))
    return _named_terms(normalise(merged))


def normalise(raw: Raw) -> Raw:
    """Spell out the short forms; what is neither short nor long is left for the structure's check."""
    full = dict(raw)
    for key in (*SINGLE, "executor"):
        if isinstance(full.get(key), str):
            full[key] = {"use": full[key]}
    if "augment" in full:
        full["augment"] = _components(full["augment"])
    if isinstance(full.get("evaluate"), dict) and "metrics" in full["evaluate"]:
        full["evaluate"] = {**full["evaluate"], "metrics": _components(full["evaluate"]["metrics"])}
    if isinstance(full.get("losses"), dict):
        full["losses"] = {name: _term(term) for name, term in full["losses"].items()}
    if "phases" in full:
        full["phases"] = _phases(full["phases"])
    if isinstance(full.get("optimizers"), dict):
        full["optimizers"] = {
            name: {"use": item} if isinstance(item, str) else item for name, item in full["optimizers"].items()
        }
    if isinstance(full.get("tracking"), dict) and isinstance(full["tracking"].get("trackers"), dict):
        trackers = {name: _tracker(item) for name, item in full["tracking"]["trackers"].items()}
        full["tracking"] = {**full["tracking"], "trackers": trackers}
    return full


def _tracker(written: Json) -> Json:
    return {"enabled": written} if isinstance(written, bool) else written


def _components(written: Json) -> Json:
    if isinstance(written, list):
        return [{"use": item} if isinstance(item, str) else item for item in written]
    return written


def _phases(written: Json) -> Json:
    """Spell out the terms of phases, which are in a list, or by index where a config is laid over another."""
    if isinstance(written, dict):
        return {index: _phase(item) for index, item in written.items()}
    return [_phase(item) for item in written] if isinstance(written, list) else written


def _phase(written: Json) -> Json:
    if not (isinstance(written, dict) and isinstance(written.get("losses"), dict)):
        return written
    terms = {name: _term(0 if term is None else term) for name, term in written["losses"].items()}
    return {**written, "losses": terms}


def _term(written: Json) -> Json:
    return written if written is None or isinstance(written, dict) else {"weight": written}


def merge(base: Json, top: Json, path: str = "") -> Json:
    """Lay one config over another: mappings key by key, a list's items by their index where one is given.

    The parameters of a component that is replaced by another go with it.

    Raises:
        ConfigError: An index leads to no item of its list.
    """
    if isinstance(base, list) and isinstance(top, dict) and all(str(key).isdecimal() for key in top):
        return _merge_items(base, {int(key): value for key, value in top.items()}, path)
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    if any(key in top and base.get(key, top[key]) != top[key] for key in ("use", "shape")):
        base = {key: value for key, value in base.items() if key not in ("params", "alias")}
    laid = {key: merge(base[key], value, f"{path}{key}.") if key in base else value for key, value in top.items()}
    return {**base, **laid}


def _merge_items(base: list[Json], top: Mapping[int, Json], path: str) -> list[Json]:
    beyond = [index for index in top if index >= len(base)]
    if beyond:
        last = f"the last one is {len(base) - 1}" if base else "the list is empty"
        raise ConfigError(Problem(f"{path}{beyond[0]}", f"there is no item {beyond[0]}", f"items count from 0; {last}"))
    return [merge(item, top[i], f"{path}{i}.") if i in top else item for i, item in enumerate(base)]


def _named_terms(raw: Raw) -> Raw:
    """Drop terms and trackers set to null, and give each of the others its `use`."""
    raw = {**raw, "losses": _named(raw["losses"])} if "losses" in raw else raw
    if isinstance(raw.get("tracking"), dict) and "trackers" in raw["tracking"]:
        raw = {**raw, "tracking": {**raw["tracking"], "trackers": _named(raw["tracking"]["trackers"])}}
    return raw


def _named(written: Json) -> Json:
    if not isinstance(written, dict):
        return written
    kept = {name: item for name, item in written.items() if item is not None}
    return {name: {"use": name, **item} if isinstance(item, dict) else item for name, item in kept.items()}


def parse_overrides(settings: Sequence[str]) -> Raw:
    """Read `losses.l1.weight=50` and the like, as the command line gives them; values are YAML.

    Raises:
        ConfigError: One is not of the form key=value.
    """
    parsed: Raw = {}
    problems = []
    for text in settings:
        key, equals, value = text.partition("=")
        try:
            parsed[key.strip()] = parse_yaml(value)
        except NotYaml as error:
            problems.append(Problem(f"-s {text[:80]}", f"the value is {error}"))
        if not equals or not key.strip():
            problems.append(Problem(f"-s {text}", "not of the form key=value", "e.g. -s losses.l1.weight=50"))
    if problems:
        raise ConfigError(problems)
    return parsed


def _nested(key: str, value: Json) -> Raw:
    parts = key.split(".")
    if len(parts) > DEEPEST:
        raise ConfigError(Problem(key[:80], f"has {len(parts)} parts", f"{DEEPEST} are allowed"))
    for part in reversed(parts):
        value = {part: value}
    assert isinstance(value, dict)
    return value
