"""How large and how tangled a schema may be: more is refused before it costs anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.schemas.schema import InvalidSchemaError

__all__ = [
    "MAX_DEPTH",
    "MAX_INCOMPATIBILITIES",
    "MAX_JSON_DEPTH",
    "MAX_MESSAGES_DEEP",
    "MAX_NAME",
    "MAX_PAIRS",
    "MAX_PAIRS_DEEP",
    "MAX_REFERENCES",
    "MAX_STEPS",
    "MAX_TEXT",
    "MAX_TEXT_OF_REFERENCES",
    "Budget",
    "check_size",
]

MAX_TEXT: Final = 1 << 20
"""Characters of a schema: what fits a record of `_schemas` with Kafka's defaults."""
MAX_REFERENCES: Final = 1_000
"""Schemas that one refers to, through others too."""
MAX_TEXT_OF_REFERENCES: Final = 8 << 20
MAX_DEPTH: Final = 100
"""Types inside one another."""
MAX_JSON_DEPTH: Final = 320
"""Values inside one another: a type in a type takes three."""
MAX_MESSAGES_DEEP: Final = 32
"""Messages inside one another, as protoc has it, and values of options."""
MAX_NAME: Final = 1_000
"""Characters of a word in a .proto file."""
MAX_PAIRS_DEEP: Final = 1_000
"""How far two schemas are followed into each other, through types that refer to types."""
MAX_STEPS: Final = 500_000
"""What one parse may take: types and values looked at."""
MAX_PAIRS: Final = 100_000
"""What one comparison may take: pairs of types looked at."""
MAX_INCOMPATIBILITIES: Final = 100
"""Reasons given at most; the same mistake may be seen from many places."""


class Budget:
    """Counts the steps of one piece of work, and how deep it is in."""

    __slots__ = ("_left", "_steps", "_work")

    def __init__(self, work: str, steps: int = MAX_STEPS) -> None:
        self._work = work
        self._steps = steps
        self._left = steps

    def spend(self, steps: int = 1, *, depth: int = 0) -> None:
        """Raises `InvalidSchemaError` when there is no more, or `depth` is more than `MAX_DEPTH`."""
        self._left -= steps
        if self._left < 0:
            raise InvalidSchemaError(f"{self._work} takes more than {self._steps} steps")
        if depth > MAX_DEPTH:
            raise InvalidSchemaError(f"{self._work} goes more than {MAX_DEPTH} levels deep")


def check_size(text: str, references: Mapping[str, str]) -> None:
    """Raises `InvalidSchemaError` for what is too much to look at."""
    if len(text) > MAX_TEXT:
        raise InvalidSchemaError(f"The schema has {len(text)} characters, more than {MAX_TEXT}")
    if len(references) > MAX_REFERENCES:
        raise InvalidSchemaError(
            f"The schema refers to {len(references)} schemas, more than {MAX_REFERENCES}"
        )
    if sum(map(len, references.values())) > MAX_TEXT_OF_REFERENCES:
        raise InvalidSchemaError(f"The referenced schemas have more than {MAX_TEXT_OF_REFERENCES} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidSchemaError("The schema holds half of a surrogate pair, which is no character") from None
