"""Passwords in addresses."""

from __future__ import annotations

import pytest

from p2pkit.passwords import password_problems, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("sftp://me:secret@host:22/runs", "sftp://me@host:22/runs"),
        ("s3://AKIA0:wJa/K7+x@bucket/in", "s3://AKIA0@bucket/in"),
        ("postgresql://me:s@cr@t@host/studies", "postgresql://me@host/studies"),
        ("redis://:secret@host", "redis://@host"),
    ],
)
def test_a_password_is_found_and_not_shown(address, shown):
    assert without_password(address) == shown
    (problem,) = password_problems("-o", address, "the log")
    assert "holds a password, which the log would hold too" in problem.cause
    assert not any(part in str(problem) for part in ("secret", "wJa", "cr@t"))


@pytest.mark.parametrize(
    "address", ["s3://bucket/a:b@c", "sftp://me@host:22/a@b", "sftp://host:22/a@b", "runs", "s3://", "C:\\a@b"]
)
def test_an_address_without_one_is_left_as_it_is(address):
    assert without_password(address) == address
    assert password_problems("-o", address, "the log") == []
