"""What a browser is given: files of the package, read once, and the page about the requests there are."""

from __future__ import annotations

import mimetypes
from html import escape
from importlib import resources
from string import Template

from p2pkit.untyped import Plain

File = tuple[bytes, str]
_DOCS = "docs.html"


def page_files() -> dict[str, File]:
    """Return the page's files by name: content, and kind. No request reaches the disk."""
    base = resources.files("p2pkit").joinpath("style.css")
    found = {"base.css": (base.read_bytes(), "text/css")}
    for file in resources.files("p2pkit.serving").joinpath("page").iterdir():
        kind = "text/javascript" if file.name.endswith(".js") else mimetypes.guess_type(file.name)[0]
        found[file.name] = (file.read_bytes(), kind or "application/octet-stream")
    return found


def docs_page(files: dict[str, File], described: Plain) -> str:
    """Write the page about the requests that are answered.

    Args:
        files: The page's files.
        described: The server's OpenAPI.
    """
    parts = [
        _operation(path, method, about)
        for path, methods in described["paths"].items()
        for method, about in methods.items()
    ]
    template = Template(files[_DOCS][0].decode())
    return template.substitute(title=escape(described["info"]["title"]), operations="\n".join(parts))


def _operation(path: str, method: str, about: Plain) -> str:
    asked = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in about.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(', '.join(each.get('content', {})))}</td>"
        f"<td>{escape(each['description'])}</td></tr>"
        for status, each in about["responses"].items()
    )
    body = ", ".join(about.get("requestBody", {}).get("content", {}))
    text = f"<p>{escape(about.get('description', about['summary']))}</p>"
    text += f"<p>Body: {escape(body)}.</p>" if body else ""
    text += f"<table><caption>Parameters</caption>{asked}</table>" if asked else ""
    text += f"<table><caption>Answers</caption>{answers}</table>"
    return f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>{text}</section>"
