"""Everything that has a name in this environment, as one page that needs no other file and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from itertools import groupby
from string import Template

from p2pkit.catalog import RECIPE, Entry, allowed, describe, written
from p2pkit.registry import Registry
from p2pkit.untyped import Plain


def page(registry: Registry, entries: Sequence[Entry], version: str) -> str:
    """Write the page.

    Args:
        registry: The names in force.
        entries: What to show, kind by kind.
        version: The version of p2pkit.

    Returns:
        The page as HTML; whatever a plugin says of itself is escaped.
    """
    groups = [(kind, list(group)) for kind, group in groupby(entries, key=lambda entry: entry.kind)]
    others = [f"{name} {version}".strip() for name, version in registry.plugins.versions().items()]
    subtitle = f"{len(entries)} names; p2pkit {version}" + "".join(f", {other}" for other in others)
    template = resources.files("p2pkit.cli").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        style=resources.files("p2pkit").joinpath("style.css").read_text(encoding="utf-8"),
        title="p2pkit: what there is",
        subtitle=escape(subtitle),
        links="".join(f'<a href="#{kind}">{kind} <span class="dim">{len(group)}</span></a>' for kind, group in groups),
        sections="\n".join(_section(registry, kind, group) for kind, group in groups),
    )


def _section(registry: Registry, kind: str, entries: Sequence[Entry]) -> str:
    parts = "\n".join(_entry(entry, describe(registry, entry.name, kind)) for entry in entries)
    return f'<section>\n<h2 id="{kind}">{kind}</h2>\n{parts}\n</section>'


def _entry(entry: Entry, about: Plain) -> str:
    anchor = escape(f"{entry.kind}-{entry.name}")
    origin = entry.alias_of or entry.plugin
    heading = f"<b>{escape(entry.name)}</b><span>{escape(entry.summary)}</span>"
    inside = f"<pre>{escape(about['text'])}</pre>" if entry.kind == RECIPE else _component(about)
    summary = f'<summary>{heading}<span class="dim">{escape(origin)}</span></summary>'
    return f'<details id="{anchor}">{summary}<div class="inside">{inside}</div></details>'


def _component(about: Plain) -> str:
    parts = [f"<pre>{escape(about['doc'])}</pre>"] if about["doc"] else []
    if about["size"]:
        parts.append(f"<p>{escape(about['size'])}</p>")
    if about["parameters"]:
        heads = "".join(f"<th>{head}</th>" for head in ("parameter", "type", "default", "meaning"))
        rows = "\n".join(map(_parameter, about["parameters"]))
        parts.append(f"<table><tr>{heads}</tr>\n{rows}</table>")
    use = f"use: {about['name']}"
    return "".join([f"<p><code>{escape(use)}</code></p>", *parts])


def _parameter(parameter: Plain) -> str:
    texts = (parameter["name"], allowed(parameter), written(parameter))
    cells = [f"<code>{escape(text)}</code>" for text in texts]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in [*cells, escape(parameter["description"])]) + "</tr>"
