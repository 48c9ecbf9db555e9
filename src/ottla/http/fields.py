"""JSON with its types checked, as requests and records have it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, Never

INT_MAX: Final = (1 << 31) - 1


class FieldError(ValueError):
    """JSON that is not what was expected; the text says where."""


def load(data: bytes | str) -> object:
    """JSON as Python's values. FieldError for what is none, is nested too deep, or has text that UTF-8 cannot
    say.
    """
    try:
        if isinstance(data, bytes):
            data = data.decode()
        if "\\ud" in data or "\\uD" in data:  # a surrogate, which may have no partner
            loaded: object = json.loads(data, parse_constant=_no_constant)
            json.dumps(loaded, ensure_ascii=False).encode()
            return loaded
        loaded = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError(f"not valid JSON: {error}") from None
    return loaded


def dump(value: object) -> bytes:
    """As Jackson writes it: without spaces, in UTF-8. Keys of records are compared by these bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Fields:
    """The fields of one object. Those that are null count as absent; unknown ones are nobody's business."""

    __slots__ = ("_fields", "_what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise FieldError(f"{what} must be an object")
        self._fields: Mapping[str, object] = value
        self._what = what

    def __contains__(self, name: str) -> bool:
        """Whether it is there, be it null."""
        return name in self._fields

    def raw(self, name: str) -> object:
        return self._fields.get(name)

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            self._refuse(name, "must be a string")
        return value

    def need_text(self, name: str) -> str:
        value = self.text(name)
        return self._refuse(name, "is missing") if value is None else value

    def number(self, name: str, low: int = 0) -> int | None:
        """A whole number that an int32 holds."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= INT_MAX:
            self._refuse(name, f"must be a whole number between {low} and {INT_MAX}")
        return value

    def need_number(self, name: str, low: int = 0) -> int:
        value = self.number(name, low)
        return self._refuse(name, "is missing") if value is None else value

    def flag(self, name: str) -> bool | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            self._refuse(name, "must be true or false")
        return value

    def items(self, name: str) -> list[object]:
        value = self._fields.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else self._refuse(name, "must be a list")

    def texts(self, name: str) -> Iterable[str]:
        for item in self.items(name):
            if not isinstance(item, str):
                self._refuse(name, "must be a list of strings")
            yield item

    def map(self, name: str) -> Mapping[str, object]:
        value = self._fields.get(name)
        if value is None:
            return {}
        return value if isinstance(value, dict) else self._refuse(name, "must be an object")

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            self._refuse(name, f"must be one of {', '.join(choices)}")
        return value

    def _refuse(self, name: str, reason: str) -> Never:
        raise FieldError(f"{self._what}: {name} {reason}")


def _no_constant(name: str) -> Never:
    raise FieldError(f"not valid JSON: {name}")
