"""The generated parts are what the code says."""

import generate
import pytest
import rendering


@pytest.fixture(scope="module")
def wanted() -> dict[str, str]:
    return generate.pages()


def test_nothing_differs_from_the_code(wanted: dict[str, str]) -> None:
    present = {path.name: path.read_text(encoding="utf-8") for path in generate.FOLDER.glob("*")}
    differing = [name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)]
    assert not differing, "run `python docs/generate.py`"


def test_each_says_that_it_is_generated(wanted: dict[str, str]) -> None:
    assert all(text.startswith("<!-- Written by docs/generate.py") for text in wanted.values())


def test_check_names_what_differs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(generate, "pages", lambda: {"one.md": "new\n", "two.md": "same\n"})
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    (tmp_path / "two.md").write_text("same\n")
    (tmp_path / "three.md").write_text("no longer wanted\n")
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    assert generate.main() == 1
    said = capsys.readouterr().out
    assert "one.md" in said
    assert "three.md" in said
    assert "two.md" not in said
    assert not (tmp_path / "one.md").exists()


def test_writing_makes_the_check_content(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(generate, "pages", lambda: {"one.md": "new\n"})
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    (tmp_path / "three.md").write_text("no longer wanted\n")
    monkeypatch.setattr("sys.argv", ["generate.py"])
    assert generate.main() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one.md"]
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    assert generate.main() == 0


def test_docstrings_become_lists_and_labels() -> None:
    doc = "Do it.\n\nMore of 2**n.\n\nArgs:\n    a: One\n        thing.\n    b: Another.\n\n"
    doc += "Shape: (B, C)\n  -> (B,).\nSource: X."
    assert rendering.docstring(doc) == (
        "Do it.\n\nMore of 2\\*\\*n.\n\n**Arguments**\n\n- `a`: One thing.\n- `b`: Another.\n\n"
        "**Shape:** (B, C) -> (B,).\n\n**Source:** X."
    )
    assert "Arguments" not in rendering.docstring(doc, leave_out=["Args"])


def test_signatures_have_no_quotes_but_those_of_defaults() -> None:
    def act(self, one: "int", *, two: "str | None" = None, **rest: "int") -> "list[int]": ...

    def call(one, two="x", *rest): ...

    assert rendering.signature("act", act) == "act(one: int, *, two: str | None = None, **rest: int) -> list[int]"
    assert rendering.signature("call", call) == "call(one, two='x', *rest)"


def test_types_are_written_as_people_read_them() -> None:
    definitions = {"Mode": {"enum": ["on", "free"]}}
    cases = {
        "int 2 to 10": {"type": "integer", "minimum": 2, "maximum": 10},
        "float > 0 | null": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]},
        "'on' | free": {"$ref": "#/$defs/Mode"},
        "[int, int]": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}]},
        "[str, ...]": {"type": "array", "items": {"type": "string"}},
        "component": {"$ref": "#/$defs/ComponentConfig"},
    }
    assert {rendering.type_text(schema, definitions) for schema in cases.values()} == set(cases)
