"""What an address may hold that others are not to see: passwords, tokens and signatures."""

from __future__ import annotations

import re

_BEFORE_AT = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*)://
    (?P<user>[^/:@?#\s]*)
    (?P<password>:(?!\d+([/?#]|$))([^/\s]*|[^@\s]*))?@""",  # a slash that is no %2F is a mistake, and a secret too
    re.IGNORECASE | re.VERBOSE,
)
_IN_QUERY = re.compile(
    r"(?P<before>://[^\s?]*\?([^\s&;]*[&;])*?)[^\s=&;]*(passw|pwd|secret|token|signature|\bsig\b|access_?key)[^\s=&;]*=[^\s&;#]*",
    re.IGNORECASE,
)


def without_password(text: str) -> str:
    """Return an address, or a text with addresses, as it may be shown and recorded.

    The user stays, but not on the web, where a name without a password is mostly a token.
    """
    text = _BEFORE_AT.sub(_public, text)
    while (shorter := _IN_QUERY.sub(r"\g<before>", text)) != text:
        text = shorter
    return text


def holds_password(text: str) -> bool:
    """Tell whether a text holds an address with something that is not to be shown."""
    return without_password(text) != text


def _public(found: re.Match[str]) -> str:
    scheme, user = found["scheme"], found["user"]
    return f"{scheme}://" if scheme.lower() in ("http", "https") else f"{scheme}://{user}@"
