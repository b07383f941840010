"""Ranges of numbers, as `1e-5..1e-3:log`, from which a search draws."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})(?P<log>:log)?\s*")
FORM = "a range is low..high, e.g. 2..8 for whole numbers, 0.1..1, or 1e-5..1e-3:log"


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included; whole ones where both are written as such.

    Args:
        low: The least.
        high: The largest.
        log: Whether equal ratios are equally likely, and not equal differences.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, random: Random) -> float:
        """Return a number."""
        if self.whole and not self.log:
            return random.randint(int(self.low), int(self.high))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = random.uniform(low, high)
        return self.tidy(math.exp(value) if self.log else value)

    def tidy(self, value: float) -> float:
        """Return a number of three digits, which people can read and compare, within the range."""
        if self.whole:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(float(f"{value:.3g}"), self.low), self.high)


def is_range(text: str) -> bool:
    """Tell whether a text means a range."""
    return _RANGE.fullmatch(text) is not None


def parse_range(text: str) -> Range:
    """Read a range.

    Raises:
        ValueError: It is none; the message says why.
    """
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither a list of values nor a range")
    low, high = (int(end) if re.fullmatch(r"[+-]?\d+", end) else float(end) for end in (found["low"], found["high"]))
    if low >= high:
        raise ValueError(f"the range {text} ends where it begins, or before")
    if found["log"] and low <= 0:
        raise ValueError(f"the range {text} can't be logarithmic, since it does not begin above 0")
    return Range(low, high, bool(found["log"]))
