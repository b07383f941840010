"""From a distribution's name and a kind to its files."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import keyword
import re
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from p2pkit import P2pkitError, Problem, __version__
from p2pkit.scaffold.starters import STARTERS

PREFIX = "p2pkit-"
_PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "LICENSE": "LICENSE",
    ".gitignore": ".gitignore",
    "ci.yaml": ".github/workflows/ci.yaml",
    "example.yaml": "example.yaml",
    "test_conformance.py": "tests/test_conformance.py",
}
"""Where each template goes in the distribution's folder."""


@dataclass(frozen=True)
class Named:
    """What a new distribution's parts are called.

    Args:
        name: The distribution, `acme-unets`.
        package: The module that is imported, `acme_unets`.
        plugin: The plugin, which comes before the colon in a config; a leading `p2pkit-` is left out.
    """

    name: str
    package: str
    plugin: str

    @classmethod
    def of(cls, name: str) -> Named:
        """Derive all names from the distribution's.

        Raises:
            P2pkitError: No distribution can be called so, or its module would hide another one.
        """
        if not re.fullmatch(r"[a-z]([a-z0-9]|[-_.](?=[a-z0-9]))*", name):
            remedy = "use lower case letters, digits and single hyphens, and begin with a letter: acme-unets"
            raise _refused(f"{name!r} is not a distribution's name", remedy)
        package, plugin = (re.sub(r"[-_.]", "_", text) for text in (name, name.removeprefix(PREFIX)))
        if keyword.iskeyword(package) or keyword.iskeyword(plugin) or not plugin.isidentifier():
            raise _refused(f"Python can't have a module called {name.removeprefix(PREFIX)!r}", "choose another name")
        if "p2pkit" in (package, plugin):
            raise _refused("p2pkit's own name is taken", "choose another name, such as acme-unets")
        if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
            cause = f"there is already a Python module called {package!r} here, and one would hide the other"
            raise _refused(cause, "choose another name")
        return cls(name, package, plugin)


def new_plugin(name: str, kind: str, into: Path = Path()) -> Path:
    """Write a distribution with one component, its tests and everything else that publishing takes.

    Args:
        name: The distribution's name, `acme-unets`.
        kind: The kind of its component.
        into: The folder in which its folder is made.

    Returns:
        The distribution's folder.

    Raises:
        P2pkitError: The name can't be used, the kind is unknown, or there is already something of that name.
    """
    named = Named.of(name)
    if kind not in STARTERS:
        raise P2pkitError(Problem("--kind", f"there is no kind {kind!r}", f"kinds: {', '.join(STARTERS)}"))
    folder = into / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        remedy = "choose another name, or remove what is there"
        raise P2pkitError(Problem(str(folder), "this is already there, and nothing is overwritten", remedy)) from None
    except OSError as error:
        raise P2pkitError(Problem(str(folder), f"can't be made: {error.strerror}", "choose another --into")) from None
    for place, text in _texts(named, kind).items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def _refused(cause: str, remedy: str) -> P2pkitError:
    return P2pkitError(Problem("", cause, remedy))


def _requirement() -> str:
    """Return how pip gets the p2pkit that is installed here: from a repository, where it came from one."""
    found = json.loads(importlib.metadata.distribution("p2pkit").read_text("direct_url.json") or "{}")
    vcs = found.get("vcs_info")
    return f"p2pkit @ {vcs['vcs']}+{found['url']}@{vcs['commit_id']}" if vcs else "p2pkit"


def _texts(named: Named, kind: str) -> dict[str, str]:
    """Return every file: place -> text."""
    own = resources.files("p2pkit.scaffold")
    starter = STARTERS[kind]
    values = {
        "name": named.name,
        "package": named.package,
        "plugin": named.plugin,
        "kind": kind,
        "a_kind": f"{'An' if kind[0] in 'aeiou' else 'A'} {kind}",
        "component": starter.component,
        "what": starter.what,
        "usage": starter.used(named.plugin),
        "config": starter.config(named.plugin),
        "examples": f', examples={{"{starter.component}": {starter.tried}}}' if starter.tried else "",
        "requirement": _requirement(),
        "version": ".".join(__version__.split(".")[:2]),
        "year": str(datetime.date.today().year),
    }
    texts = {
        place: Template((own / "files" / f"{file}.template").read_text(encoding="utf-8")).substitute(values)
        for file, place in _PLACES.items()
    }
    package = f"src/{named.package}"
    texts[f"{package}/__init__.py"] = (own / "kinds" / f"{kind}.py").read_text(encoding="utf-8")
    texts[f"{package}/py.typed"] = ""
    return texts
