"""Levels of loggers, under Log4j's names (KIP-495, KIP-976)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

_LEVELS: Final = {
    "OFF": 100,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": 5,
    "ALL": 1,
}
_ROOT: Final = "root"


class Loggers:
    """`tell` has the worker's processes do the same."""

    def __init__(self, tell: Callable[[str, int], None], now_ms: Callable[[], int]) -> None:
        self._tell = tell
        self._now_ms = now_ms
        self._changed_ms: dict[str, int] = {}

    def is_level(self, level: str) -> bool:
        return level.upper() in _LEVELS

    def all(self) -> dict[str, Any]:
        """Those that have a level of their own."""
        names = [_ROOT, *logging.root.manager.loggerDict]
        found = {
            name: self.level(name) for name in sorted(names) if name == _ROOT or logging.getLogger(name).level
        }
        return {name: level for name, level in found.items() if level is not None}

    def level(self, name: str) -> dict[str, Any] | None:
        """None for a logger that nobody knows."""
        if name != _ROOT and not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger):
            return None
        number = logging.getLogger(None if name == _ROOT else name).getEffectiveLevel()
        word = next((word for word, each in _LEVELS.items() if each == number), "INFO")
        return {"level": word, "last_modified": self._changed_ms.get(name)}

    def set(self, namespace: str, level: str) -> list[str]:
        """The loggers that have it now: this one, and those below it."""
        number = _LEVELS[level.upper()]
        known = [
            name for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger)
        ]
        below = known if namespace == _ROOT else [name for name in known if name.startswith(f"{namespace}.")]
        affected = sorted({namespace, *below})
        for name in affected:
            logging.getLogger(None if name == _ROOT else name).setLevel(number)
            self._changed_ms[name] = self._now_ms()
        self._tell("" if namespace == _ROOT else namespace, number)
        return affected
