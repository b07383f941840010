"""What a plugin's files import of p2pkit."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import p2pkit

_MODULES = ("layers", "mlflow_store", "testing", "untyped")
"""The public modules beside `p2pkit` itself; what is in their `__all__` is public."""
_BUILTIN = "p2pkit.builtin"


def private_imports(module: ModuleType) -> list[str]:
    """List where the files of a plugin use names of p2pkit that are not public.

    Args:
        module: The plugin's module; a package's other files are looked at too.

    Returns:
        One text for each place, with file and line.
    """
    own = module.__name__ == _BUILTIN or module.__name__.startswith(f"{_BUILTIN}.")
    return [found for file in _files(module, own) for found in _in_file(file, own)]


def _files(module: ModuleType, own: bool) -> list[Path]:
    file = Path(module.__file__ or "")
    if own:  # each built-in answers for its own files
        return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    top = module.__name__.partition(".")[0]
    depth = module.__name__.count(".") + (file.name == "__init__.py")
    folder = file.parents[depth - 1] if depth else None
    return sorted(folder.rglob("*.py")) if folder is not None and folder.name == top else [file]


@cache
def _in_file(file: Path, own: bool) -> tuple[str, ...]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(f"{name} ({file.name}, line {line})" for name, line in _uses(tree) if not _allowed(name, own))


def _uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every dotted name below p2pkit that is imported, or read from the module `p2pkit`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "p2pkit":
            yield f"p2pkit.{node.attr}", node.lineno


def _allowed(name: str, own: bool) -> bool:
    package, _, rest = name.partition(".")
    if package != "p2pkit" or not rest or (own and name.startswith(_BUILTIN)):
        return True
    module, _, name = rest.rpartition(".")
    if not module:
        return name in _MODULES or name in p2pkit.__all__
    return module in _MODULES and name in importlib.import_module(f"p2pkit.{module}").__all__
