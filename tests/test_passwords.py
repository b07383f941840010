"""Addresses are shown and recorded without what opens them."""

from __future__ import annotations

import pytest

from p2pkit.passwords import holds_password, without_password


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:sec@ret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:123@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://:secret@host/db", "postgresql://@host/db"),
        ("s3://KEY:se/cr+et@bucket/runs", "s3://KEY@bucket/runs"),
        ("http://me:secret@host:5000/a", "http://host:5000/a"),
        ("https://token@host/a", "https://host/a"),
        ("mysql://host/db?ssl=1&password=secret&x=2", "mysql://host/db?ssl=1&&x=2"),
        ("https://host/a.tar?X-Amz-Signature=secret#x", "https://host/a.tar?#x"),
        ("az://c/a?sv=1&sig=secret", "az://c/a?sv=1&"),
        ("no answer at sftp://me:secret@host/a, or s3://KEY:secret@b", "no answer at sftp://me@host/a, or s3://KEY@b"),
    ],
)
def test_what_opens_an_address_is_left_out(written, shown):
    assert without_password(written) == shown
    assert holds_password(written)
    assert "secret" not in shown
    assert without_password(shown) == shown


@pytest.mark.parametrize(
    "plain",
    [
        *("sqlite:////a/b.db", "grpc://host:13000", "sftp://host:22/home/me@work", "s3://bucket/me@home/a:b@c"),
        *("memory://me@host/runs", "abfs://box@account.dfs.core.windows.net/a", "https://host/a?design=1&b=token"),
        *("models:/a@best", "me:secret@host", "train-{000..099}.tar"),
    ],
)
def test_other_addresses_and_texts_stay_as_they_are(plain):
    assert without_password(plain) == plain
    assert not holds_password(plain)
