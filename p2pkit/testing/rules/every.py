"""Rules for components of every kind: how they are declared."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from p2pkit.components import KIND_NAMES
from p2pkit.errors import first_line
from p2pkit.parts import plain
from p2pkit.testing.files_with_code import admits_path, runs_code
from p2pkit.testing.imports import private_imports
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import COLOUR, Subject
from p2pkit.types import PairSpec, optional
from p2pkit.untyped import Untyped

NETWORKS = ("generator", "discriminator")


@rule(*KIND_NAMES, builds=False)
def name(subject: Subject) -> None:
    """The name is easy to write: lower case words of letters and digits, joined by single underscores."""
    written = subject.component.name
    plain = re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", written) and len(written) <= 40
    require(plain, f"Rename {written!r}: lower case words joined by single underscores, 40 characters at most.")


@rule(*KIND_NAMES, builds=False)
def docstring(subject: Subject) -> None:
    """The docstring begins with one line that says what it is, for `p2pkit list`."""
    factory = subject.component.factory
    factory = factory.func if isinstance(factory, partial) else factory
    require(factory.__doc__, "Give the factory a docstring of its own; its first line is shown by `p2pkit list`.")
    first = subject.component.doc.partition("\n")[0]
    sentence = "Begin the docstring with one sentence on one line of its own, 120 characters at most, ending with a"
    whole = first.endswith(".") and len(first) <= 120 and subject.component.doc.partition("\n")[2][:1] in ("", "\n")
    require(whole, f"{sentence} full stop; it begins with {first!r}.")


@rule(*NETWORKS, builds=False)
def shape_section(subject: Subject) -> None:
    """A network's docstring states shapes and value ranges in a section `Shape:`."""
    example = "Shape: source (B, C_source, H, W) in [-1, 1] -> fake (B, C_target, H, W) in [-1, 1]"
    require(_has_section(subject, "Shape"), f"State shapes and value ranges in the docstring, e.g. `{example}`.")


@rule(*NETWORKS, "loss", builds=False)
def source_section(subject: Subject) -> None:
    """The docstring of a network or loss says where it comes from in a section `Source:`."""
    example = "Source: Isola et al. 2017, arXiv:1611.07004, section 6.1.1"
    sentence = "Say in the docstring where it comes from, paper and section or equation, or that it is your own"
    require(_has_section(subject, "Source"), f"{sentence}, e.g. `{example}`.")


def _has_section(subject: Subject, title: str) -> bool:
    return re.search(rf"^\s*{title}:\s*\S", subject.component.doc, re.MULTILINE) is not None


@rule(*KIND_NAMES, builds=False)
def typed(subject: Subject) -> None:
    """Every parameter has a type that tells right values from wrong ones."""
    loose = _loose(subject)
    require(not loose, f"Give {', '.join(loose)} a type that says what is allowed, not Any or object.")


def _loose(subject: Subject) -> list[str]:
    fields = subject.component.parameters.model_fields
    return [key for key, info in fields.items() if info.annotation in (Any, object)]


@rule(*KIND_NAMES, builds=False)
def described(subject: Subject) -> None:
    """Every parameter is described by a sentence."""
    fields = subject.component.parameters.model_fields
    bare = [key for key, info in fields.items() if not (info.description or "").strip()]
    example = 'Annotated[int, Field(ge=1, description="Channels of the first level.")]'
    require(not bare, f"Describe {', '.join(bare)} in a sentence, e.g. `{bare and bare[0]}: {example} = 64`.")


@rule(*KIND_NAMES, builds=False)
def defaults(subject: Subject) -> None:
    """The defaults, and the example parameters, survive being written to a run's record and read again."""
    model = subject.component.parameters
    unknown = sorted(set(subject.params) - set(model.model_fields))
    require(not unknown, f"The examples give {', '.join(unknown)}, which it does not have.")
    remedy = (
        "give conformance (or `--example NAME.PARAMETER=VALUE`) an example, or declare one: `Field(examples=[...])`"
    )
    require(not subject.missing, f"It needs {', '.join(subject.missing)} to be tried: {remedy}.")
    try:
        values = model.model_validate(subject.params)
        read = model.model_validate_json(values.model_dump_json())
    except (ValidationError, ValueError) as error:
        sentence = "Its parameters don't survive being written as JSON and read again; use plain values, no infinity"
        raise AssertionError(f"{sentence}: {first_line(error)}.") from error
    changed = [key for key in model.model_fields if plain(getattr(read, key)) != plain(getattr(values, key))]
    require(not changed, f"{', '.join(changed)} is another value after being written as JSON and read again.")


@rule(*KIND_NAMES, builds=False)
def schema(subject: Subject) -> None:
    """The parameters have a JSON schema that says what is allowed, so that editors complete and check them."""
    try:
        properties = subject.component.parameters.model_json_schema().get("properties", {})
    except Exception as error:
        raise AssertionError(f"Its parameters have no JSON schema: use types that have one ({error}).") from error
    known = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}
    vague = [key for key, found in properties.items() if not found.keys() & known and key not in _loose(subject)]
    require(not vague, f"The schema of {', '.join(vague)} allows anything: use types that JSON schema knows.")
    optional = [key for key, info in subject.component.parameters.model_fields.items() if not info.is_required()]
    lacking = [key for key in optional if "default" not in properties.get(key, {})]
    require(not lacking, f"The schema lacks the default of {', '.join(lacking)}: use a default that JSON can hold.")


@rule(*KIND_NAMES, builds=False)
def loads_twice(subject: Subject) -> None:
    """The plugin offers the same component when it is asked a second time."""
    if subject.again is None:
        return
    component = subject.component
    again = [c for c in subject.again() if (c.kind, c.name) == (component.kind, component.name)]
    sentence = "Asked a second time, the plugin does not offer it: make the records inside the hook."
    require(len(again) == 1, sentence)
    one, other = (c.parameters.model_json_schema() for c in (component, again[0]))
    require(one == other, "Asked a second time, it has other parameters: let them not depend on what came before.")


@rule(*KIND_NAMES, builds=False)
def imports(subject: Subject) -> None:
    """The plugin imports p2pkit's public names only."""
    if subject.module is None:
        return
    found = private_imports(subject.module)
    sentence = "Use what `import p2pkit` has; other modules of p2pkit may change in any release"
    require(not found, f"{sentence}: {'; '.join(found[:4])}.")


@rule(*KIND_NAMES, builds=False)
def foreign_files(subject: Subject) -> None:
    """A file that a parameter names may hold code, and none of it is run."""
    for key, info in subject.component.parameters.model_fields.items():
        others = [name for name in subject.missing if name != key]
        if admits_path(info.annotation) and not others:
            sentence = f"Code in the file that {key} names was run: read weights by `p2pkit.read_weights`"
            require(not runs_code(partial(_tried, subject, key)), f"{sentence}, and never by pickle or torch.load.")


def _tried(subject: Subject, key: str, file: Path) -> None:
    if not subject.on_images:
        params: dict[str, Untyped] = {key: file}
        with suppress(Exception):
            subject.build(**params)
        return
    fitting = subject.buildable
    with suppress(Exception):
        images = subject.images if fitting else PairSpec(COLOUR, COLOUR, 256, 256)
        subject.component.build(images, {**subject.params, key: file})


@rule(*KIND_NAMES)
def builds(subject: Subject) -> None:
    """It can be built, where it is for images for some of these, and refuses by a ComponentError and nothing else."""
    if subject.missing:
        raise Skip("it needs parameters, see the rule `defaults`")
    try:
        if not subject.on_images:
            subject.build()
            return
        specs = subject.specs
    except Exception as error:
        cause = first_line(error, typed=True)
        raise AssertionError(f"It raised {cause}. Raise p2pkit.ComponentError for images it can't do.") from error
    if not specs and subject.lacks_weights:
        raise Skip(str(subject.refusals[-1]))
    said = f" It said: {subject.refusals[-1]}." if subject.refusals else ""
    sentence = "It could not be built for any of the images that were tried, sides from 32 to 1024; give example"
    require(specs, f"{sentence} parameters that fit one of these.{said}")


@rule(*KIND_NAMES)
def attributes(subject: Subject) -> None:
    """Each of its optional attributes is of the type that p2pkit reads."""
    wrong = optional.wrong_attributes(subject.kind, subject.build())
    require(not wrong, f"It {'; it '.join(wrong)}.")
