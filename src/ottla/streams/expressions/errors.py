"""What can be wrong with an expression, when it is written, when it meets a schema, and for one record."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ottla.streams.errors import StreamsError

__all__ = ["ExpressionError", "ExpressionTypeError", "NotColumnar", "UnknownColumnError", "nearest"]


class ExpressionError(StreamsError, ValueError):
    """An expression that is wrong in itself, or has no value for some record: the text names it."""


class ExpressionTypeError(ExpressionError):
    """An operation that is not defined for what it is given."""


class UnknownColumnError(ExpressionError):
    """A schema has no such column: `column` is what was asked for, `known` what there is."""

    def __init__(self, column: str, known: Iterable[str], within: str) -> None:
        self.column = column
        self.known = tuple(known)
        super().__init__(f"there is no column {column!r} in {within}{nearest(column, self.known)}")


class NotColumnar(Exception):  # noqa: N818 # no error: another way has to be taken
    """Records have to be taken one at a time."""


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by `name`, as the end of a sentence."""
    names = list(known)
    matches = get_close_matches(name, names, n=1, cutoff=0.6) or [
        each for each in names if each.lower() == name.lower()
    ]
    if matches:
        return f": did you mean {matches[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:10])
    return f": there is {shown}{' and more' if len(names) > 10 else ''}"
