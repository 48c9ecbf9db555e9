"""Regular expressions of schemas, which come from anywhere: matched in linear time, within a budget."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ottla.schemas.limits import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patterns"]

_COST: Final = 100
"""Of compiling one, in steps."""
_LENGTH: Final = 100
"""Characters of a name that are one step."""
_MAX_MEMORY: Final = 1 << 16


class Patterns:
    """Those of one comparison, each compiled once."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._compiled: dict[str, Callable[[str], bool]] = {}

    def match(self, pattern: str, name: str) -> bool:
        """Whether `pattern` is in `name`. What RE2 does not know, or finds too large, is nowhere."""
        found = self._compiled.get(pattern)
        if found is None:
            self._budget.spend(_COST)
            found = self._compiled[pattern] = _compile(pattern)
        self._budget.spend(1 + len(name) // _LENGTH)
        return found(name)


def _compile(pattern: str) -> Callable[[str], bool]:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return _nowhere
    return partial(_is_in, compiled.search)


def _nowhere(_name: str) -> bool:
    return False


def _is_in(search: Callable[[str], object], name: str) -> bool:
    return search(name) is not None
