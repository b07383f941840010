"""Write the parts of the reference that the code knows best, to `generated/`; `--check` only compares.

Call it as `python docs/generate.py [--check]`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_origin

import torch
import typer
from keys import config_keys, registry_keys
from pydantic import TypeAdapter
from rendering import code, docstring, plain, signature, table, type_text, value

import p2pkit
from p2pkit import ImageSpec, PairSpec, catalog, hookspecs, layers, mlflow_store
from p2pkit.cli import app
from p2pkit.cli.groups import every_command
from p2pkit.components import KINDS
from p2pkit.config import recipe_names
from p2pkit.plugins.finding import BUILTIN
from p2pkit.registry import Registry, load_registry
from p2pkit.types import optional
from p2pkit.types.protocols import PROTOCOLS

FOLDER = Path(__file__).parent / "generated"
NOTICE = "<!-- Written by docs/generate.py: change the code, then run it. -->\n\n"
MODULES = {
    "p2pkit.api": "Train, evaluate, use",
    "p2pkit.translation": "Load a trained generator",
    "p2pkit.scoring": "Score any images",
    "p2pkit.inference.translate": "A trained generator",
    "p2pkit.exporting.folder": "A generator that leaves the house",
    "p2pkit.exporting.pushing": "A generator on the Hugging Face Hub",
    "p2pkit.programs.graph": "What is exported",
    "p2pkit.programs.program": "Programs of torch's own",
    "p2pkit.bridge.importing": "Checkpoints of other toolboxes",
    "p2pkit.bridge.exporting": "Checkpoints for other toolboxes",
    "p2pkit.components": "Kinds of component",
    "p2pkit.types.images": "Images and pairs",
    "p2pkit.types.pairs": "Pairs of files",
    "p2pkit.types.view": "What a loss sees",
    "p2pkit.types.protocols": "What factories make",
    "p2pkit.types.runs": "What is told of a run",
    "p2pkit.types.work": "Work for executors",
    "p2pkit.executing": "How it is done",
    "p2pkit.images.files": "Images on disk",
    "p2pkit.images.listing": "Which files are images",
    "p2pkit.images.manifest": "Tables of files",
    "p2pkit.images.reading": "From a file to a source",
    "p2pkit.images.convert": "Images",
    "p2pkit.engine.storage.layout": "Files of a checkpoint",
    "p2pkit.shards": "Shards",
    "p2pkit.config.flat": "Configs",
    "p2pkit.weights.files": "Weights of other people's networks",
    "p2pkit.weights.networks": "Their networks",
    "p2pkit.mlflow_store": "MLflow",
    "p2pkit.errors": "Errors",
}


def pages() -> dict[str, str]:
    """Return every generated file: name -> text. Only what ships with p2pkit is in them."""
    registry = load_registry(Path(__file__).parent.parent / "registry.yaml", discover=False)
    written = {
        "cli": commands(),
        "config": config_keys(),
        "errors": errors(),
        "hooks": hooks(),
        "names": names(registry),
        "python": public_names(),
        "recipes": recipes(),
        "registry": registry_keys(),
        "sizes": sizes(registry),
    }
    written |= {f"components-{kind.kind}": components(registry, kind.kind) for kind in KINDS}
    return {f"{name}.md": NOTICE + text.rstrip() + "\n" for name, text in written.items()}


def commands() -> str:
    """Describe every command of the command line."""
    parts = []
    for name, command in every_command(typer.main.get_command(app)).items():
        anchor = name.replace(" ", "-")
        rows = [
            [" ".join(map(code, _written(option))), _option_default(option), plain(option.help or "")]
            for option in command.params
        ]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["p2pkit", name, *(_written(p)[0] for p in arguments), "[OPTIONS]"])
        parts.append(f"(command-{anchor})=\n## p2pkit {name}\n\n{plain(command.help)}\n\n```text\n{usage}\n```")
        parts.append(table(["argument or option", "default", "meaning"], rows))
    return "\n\n".join(parts)


def _written(option: Any) -> list[str]:
    name = option.metavar or option.name.upper()
    if option.param_type_name == "argument":
        return [name if option.required else f"[{name}]"]
    *others, last = sorted(option.opts, key=len)
    return [*others, last if option.is_flag else f"{last} {name}"]


def _option_default(option: Any) -> str:
    if option.required:
        return "required"
    return "" if option.default in (None, False) else code(value(option.default))


def errors() -> str:
    """Describe every class of error."""
    found = [getattr(p2pkit, name) for name in p2pkit.__all__]
    classes = [each for each in found if inspect.isclass(each) and issubclass(each, Exception)]
    return "\n\n".join(f"(error-{each.__name__})=\n## {each.__name__}\n\n{_documented(each)}" for each in classes)


def hooks() -> str:
    """Describe every hook; the heading is its signature."""
    parts = []
    for name, hook in vars(hookspecs).items():
        if name.startswith("p2pkit_"):
            parts.append(f"(hook-{name})=\n## {signature(name, hook, types=False)}")
            parts.append(f"```python\n{signature(name, hook)}\n```\n\n{docstring(inspect.getdoc(hook) or '')}")
    return "\n\n".join([*parts, *protocols()])


def protocols() -> Iterator[str]:
    """Describe for each kind what its factories make, and which attributes that may have beside."""
    for kind, found in PROTOCOLS.items():
        names = ", ".join(f"[`{protocol.__name__}`](#python-{protocol.__name__})" for protocol in found)
        first = inspect.getdoc(found[0]) or ""
        yield f"(made-{kind})=\n## What the factory of a {kind} makes\n\n{names}: {first.partition(chr(10))[0]}"
        streams = ("stream",) if kind == "dataset" else ()
        mine = [each for each in optional.ATTRIBUTES if each.owner in (kind, *streams, "any")]
        rows = [[code(each.name), plain(each.written), _absent(each), plain(each.meaning)] for each in mine]
        yield table(["attribute", "is", "without it", "meaning"], rows)


def _absent(attribute: optional.Attribute[Any]) -> str:
    return "" if callable(attribute.default) or attribute.default in (None, {}) else code(value(attribute.default))


def components(registry: Registry, kind: str) -> str:
    """Describe every built-in component of a kind, with its parameters and aliases."""
    offered = [component for component in registry.plugins.components if component.kind == kind]
    parts = []
    for component in offered:
        about = catalog.describe(registry, component.name, kind)
        parts.append(f"({kind}-{component.name})=\n## {component.name}")
        parts.append(docstring(about["doc"], leave_out=["Args"]))
        if about["parameters"]:
            parts.append(_parameters(about))
        aliases = [name for name, alias in registry.aliases(kind).items() if alias.use == component.name]
        if aliases:
            rows = [_alias(registry, kind, name) for name in aliases]
            parts.append("**Aliases**\n\n" + table(["alias", "fills in", "what it is"], rows))
    return "\n\n".join(parts)


def _alias(registry: Registry, kind: str, name: str) -> list[str]:
    alias = registry.aliases(kind)[name]
    filled = ", ".join(f"{key}: {value(item)}" for key, item in alias.params.items())
    return [code(name), code(filled), plain(alias.summary)]


def _parameters(about: Mapping[str, Any]) -> str:
    properties, definitions = about["schema"]["properties"], about["schema"].get("$defs", {})
    rows = []
    for parameter in about["parameters"]:
        name = parameter["name"]
        default = "required" if parameter["required"] else code(value(parameter["default"]))
        written = type_text(properties[name], definitions)
        rows.append([code(name), code(written), default, plain(parameter["description"])])
    return table(["parameter", "type", "default", "meaning"], rows)


def names(registry: Registry) -> str:
    """List everything that has a name, kind by kind, with its page."""
    parts = []
    for kind in KINDS:
        rows = []
        for entry in catalog.entries(registry, kind.kind):
            component = registry.resolve(kind.kind, entry.name).component.name
            rows.append([f"[`{entry.name}`](#{kind.kind}-{component})", code(entry.alias_of), plain(entry.summary)])
        parts.append(f"## {kind.kind}\n\n" + table(["name", "alias of", "what it is"], rows))
    rows = [[code(name), code(module)] for name, module in BUILTIN]
    return "\n\n".join([*parts, "## plugins that ship with p2pkit\n\n" + table(["plugin", "module"], rows)])


def public_names() -> str:
    """Describe the public names of the package, by the module that defines them."""
    parts = []
    for module, title in MODULES.items():
        found = [getattr(p2pkit, name) for name in p2pkit.__all__]
        mine = [each for each in found if getattr(each, "__module__", "") == module]
        parts.append(f"## {title}")
        for each in mine:
            is_error = inspect.isclass(each) and issubclass(each, Exception)
            text = f"See [the errors](#error-{each.__name__})." if is_error else _documented(each)
            parts.append(f"(python-{each.__name__})=\n### {each.__name__}\n\n{text}")
    return "\n\n".join([*parts, *map(_public_module, (layers, mlflow_store))])


def _public_module(module: ModuleType) -> str:
    """Describe what a public module has beside `p2pkit` itself: parameters and constants as a table, then the rest."""
    rows, parts = [], []
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            parts.append(f"### {module.__name__}.{name}\n\n{_documented(thing)}")
        elif get_origin(thing) is Annotated:
            schema = TypeAdapter(thing).json_schema()
            rows.append([code(name), type_text(schema, {}), plain(schema["description"])])
        else:
            rows.append([code(name), "", value(thing)])
    about = plain((inspect.getdoc(module) or "").partition("\n")[0])
    return "\n\n".join([f"## {module.__name__}\n\n{about}", table(["name", "values", "what it is"], rows), *parts])


def _documented(thing: Any) -> str:
    """Describe a function, or a class with its public methods and properties."""
    described = [(signature(thing.__name__, thing).removesuffix(" -> None"), thing)]
    for name, member in vars(thing).items() if inspect.isclass(thing) else ():
        full_name = f"{thing.__name__}.{name}"
        function = getattr(member, "__func__", member)
        if name.startswith("_"):
            continue
        if inspect.isfunction(function):
            described.append((signature(full_name, function), function))
        elif isinstance(member, property | functools.cached_property):
            described.append((full_name, member))
    return "\n\n".join(f"```python\n{text}\n```\n\n{docstring(inspect.getdoc(it) or '')}" for text, it in described)


def recipes() -> str:
    """Show every ready-made recipe as it is in the package."""
    parts = []
    for name in recipe_names():
        keys = catalog.describe(load_registry(discover=False), name, "recipe")["keys"]
        parts.append(f"(recipe-{name})=\n## {name}\n\n{plain(keys['summary'])}\n\n**Source:** {plain(keys['origin'])}")
        parts.append(f"```{{literalinclude}} /../p2pkit/recipes/{name}.yaml\n:language: yaml\n```")
    return "\n\n".join(parts)


def sizes(registry: Registry) -> str:
    """List the networks' sizes, and the verdicts', for 3 -> 3 channels at 256 x 256."""
    rows = []
    for kind in ("generator", "discriminator"):
        for name in registry.names(kind):
            count = catalog.describe(registry, name, kind)["parameter_count"]
            if count is None:  # it is not for such images
                continue
            rows.append([f"`{name}`", kind, f"{count:,}", _verdict(registry, name) if kind == "discriminator" else ""])
    return table(["name", "kind", "parameters", "verdict"], rows)


def _verdict(registry: Registry, name: str) -> str:
    images = PairSpec(ImageSpec(3), ImageSpec(3), 256, 256)
    found = registry.resolve("discriminator", name)
    with torch.device("meta"):
        network = found.component.build(images, found.params)
        verdict = network(torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 256, 256))
    return ", ".join(f"{logits.shape[2]} x {logits.shape[3]}" for logits in verdict.logits)


def main() -> int:
    """Write the files, or with --check name those that differ."""
    wanted = pages()
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    changed = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if "--check" in sys.argv[1:]:
        print("\n".join(f"docs/generated/{name} differs; run python docs/generate.py" for name in changed), end="")
        return 1 if changed else 0
    for name in changed:
        (FOLDER / name).unlink(missing_ok=True)
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
