"""What a rule is, and the list of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p2pkit.testing.subject import Subject

    Check = Callable[[Subject], None]


class Skip(Exception):
    """Raised by a rule that can't be applied; its text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that components have to keep.

    Args:
        name: What results call it.
        kinds: The kinds of component it is for.
        check: Raises `AssertionError` with a sentence that says what to change.
        builds: Whether it builds the component; others look at its declaration alone.
    """

    name: str
    kinds: tuple[str, ...]
    check: Check
    builds: bool = True

    @property
    def summary(self) -> str:
        """The rule as one sentence."""
        return (inspect.getdoc(self.check) or "").partition("\n")[0]


RULES: list[Rule] = []


def rule(*kinds: str, builds: bool = True) -> Callable[[Check], Check]:
    """Make a function a rule for components of these kinds; its name is the rule's, its docstring the rule itself."""

    def register(check: Check) -> Check:
        RULES.append(Rule(check.__name__.rstrip("_"), kinds, check, builds))
        return check

    return register


def require(condition: object, sentence: str) -> None:
    """Fail with a sentence that says what to change, unless the condition holds; works under `python -O` too."""
    if not condition:
        raise AssertionError(sentence)
