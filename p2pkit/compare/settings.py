"""Which keys tell runs apart, and how that is said in few words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from p2pkit.untyped import Json, Plain

Settings = Plain
_NETWORKS = ("generator", "discriminator")
PROCESSES = "processes"
"""How many processes trained a run: no key of its config, and yet a thing in which runs differ."""
_NOT_COMPARED = ("engine.seed", "engine.log_every", "evaluate.", "checkpoint.", "size.")


def compared(flat: Settings) -> dict[str, Json]:
    """Return the keys by which runs are compared: how they are measured, watched and saved is left out.

    So is what follows from the number of processes where the pairs of an update are set.
    """
    follows = ("engine.accumulate",) if flat.get("engine.global_batch") else ()
    return {key: value for key, value in flat.items() if not key.startswith((*_NOT_COMPARED, *follows))}


def with_absent_terms(settings: Sequence[Settings]) -> list[dict[str, Json]]:
    """Give each run the weight 0 of terms that only other runs have."""
    weights = [key for each in settings for key in each if re.fullmatch(r"losses\.[^.]+\.weight", key)]
    return [{**each, **{key: 0 for key in weights if key not in each}} for each in settings]


def differing(settings: Sequence[Settings]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the keys in which runs differ.

    Args:
        settings: The keys and values of each run.

    Returns:
        The keys that differ; and of these the ones that say nothing new, as they are parameters of a component whose
        name differs too, or of a term that other runs leave out, and follow from that.
    """
    keys = dict.fromkeys(key for each in settings for key in each)
    differ = [key for key in keys if len({_comparable(each.get(key)) for each in settings}) > 1]
    implied = [key for key in differ if _follows(key, settings)]
    return tuple(key for key in differ if key not in implied), tuple(implied)


def _comparable(value: Json) -> str:
    return repr(value)


def _follows(key: str, settings: Sequence[Settings]) -> bool:
    """Say whether a component's name, and whether its term is in use, settle one of its parameters."""
    term = re.match(r"losses\.[^.]+", key)
    if key.endswith(".weight") or not (term or ".params." in key):
        return False
    component = term[0] if term else key.partition(".params.")[0]
    unused = [term is not None and float(each.get(f"{component}.weight", 0)) == 0 for each in settings]
    heads = [None if off else (each.get(component),) for off, each in zip(unused, settings, strict=True)]
    values = ["" if off else _comparable(each.get(key)) for off, each in zip(unused, settings, strict=True)]
    return len(set(heads)) > 1 and len(set(zip(heads, values, strict=True))) == len(set(heads))


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Shorten keys to what tells them apart: `losses.l1.weight` to `l1.weight`, `generator.params.depth` to `depth`."""
    keys = list(keys)
    short = {key: re.sub(r"^(losses|.*\.params)\.", "", key) for key in keys}
    taken = list(short.values())
    return {key: name if taken.count(name) == 1 else key.replace(".params.", ".") for key, name in short.items()}


def label(settings: Settings) -> str:
    """Write settings as `l1.weight=10 generator=unet_256`."""
    names = short_names(settings)
    return " ".join(f"{names[key]}={shown(value)}" for key, value in settings.items())


def title(settings: Settings) -> str:
    """Write settings shorter still, for legends: `l1 10 unet_256`; a network's name says by itself what it is."""
    names = {key: re.sub(r"\.(weight|params)\b", "", name) for key, name in short_names(settings).items()}
    return " ".join(
        shown(value) if key in _NETWORKS else f"{names[key]} {shown(value)}" for key, value in settings.items()
    )


def shown(value: Json) -> str:
    """Write a value short: a component as its name with what is changed in it, one that is not set as a dash."""
    if isinstance(value, Mapping) and "use" in value:
        inside = ",".join(f"{key}={shown(item)}" for key, item in value.get("params", {}).items())
        return f"{value['use']}({inside})" if inside else str(value["use"])
    if isinstance(value, bool):
        return str(value).lower()  # as in YAML
    return "-" if value is None else str(value)
