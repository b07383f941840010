"""What a model says that it needs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import p2pkit
from p2pkit.builtin.mlflow_tracker import requirements


class _Distribution:
    def __init__(self, name: str, version: str, origin: dict[str, Any] | None = None) -> None:
        self.name = name
        self.version = version
        self.origin = origin

    def read_text(self, file: str) -> str | None:
        assert file == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


@pytest.mark.parametrize(
    ("version", "origin", "line"),
    [
        ("1.2", None, "acme==1.2"),
        ("2.11.0+cpu", None, "acme==2.11.0"),
        ("1.2", {"url": "file:///home/me/acme", "dir_info": {"editable": True}}, None),
        ("1.2", {"url": "file:///home/me/acme-1.2.whl", "archive_info": {}}, None),
        (
            "1.2",
            {"url": "https://example.org/acme-1.2.whl", "archive_info": {}},
            "acme @ https://example.org/acme-1.2.whl",
        ),
        (
            "1.2",
            {"url": "https://example.org/acme.git", "vcs_info": {"vcs": "git", "commit_id": "aa11"}},
            "acme @ git+https://example.org/acme.git@aa11",
        ),
    ],
)
def test_a_distribution_is_named_as_it_can_be_installed(
    version: str, origin: dict[str, Any] | None, line: str | None
) -> None:
    found: Any = _Distribution("acme", version, origin)
    assert requirements._requirement(found) == line


def test_plugins_that_the_config_names_are_among_them(
    tiny_run: p2pkit.Run, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("", "acme", version="1.2")
    install("", "other", version="3.4")
    versions = {**tiny_run.versions, "acme": "1.2", "other": "3.4"}
    config = {**tiny_run.config, "generator": {"use": "acme:unet", "params": {}}}
    needed, local = requirements.requirements(replace(tiny_run, versions=versions, config=config))
    assert "acme-dist==1.2" in needed
    assert not [line for line in [*needed, *local] if line.startswith("other")]
    named = [line.partition("==")[0].partition(" ")[0] for line in [*needed, *local]]
    assert {"p2pkit", "torch", "numpy", "pillow"} <= set(named)
