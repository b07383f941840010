"""What a server allows."""

from __future__ import annotations

from dataclasses import dataclass

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""What protects the page, with each answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server allows, and how it gathers requests.

    Args:
        batch: Images of one forward pass.
        max_wait: Milliseconds that a request waits for others to be translated with.
        max_pixels: Pixels of an image.
        max_bytes: Bytes of a request's body.
        rate: Translations that one client may ask for in a second; 0 for any number.
        in_flight: Requests that are answered or wait at one time.
        patience: Seconds in which a request's body has to arrive.
        hosts: Names by which the server may be called; empty for any.
    """

    batch: int = 8
    max_wait: float = 3.0
    max_pixels: int = 2**22
    max_bytes: int = 2**25
    rate: float = 100.0
    in_flight: int = 128
    patience: float = 30.0
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
