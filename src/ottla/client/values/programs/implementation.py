"""Which code runs programs: `_programs`, where it is compiled, or `plain`.

`OTTLA_COLUMNS=plain` in the environment asks for the latter, as for the columns of batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ottla.client.columns.binary import RawBinary
from ottla.client.columns.implementation import wants_plain
from ottla.client.values.programs import plain
from ottla.client.values.programs.plain import RawBroken
from ottla.client.values.programs.plain_columns import RawColumn

__all__ = ["IMPLEMENTATION", "Implementation", "Program"]


class Program(Protocol):
    """A program that was checked."""


class Implementation(Protocol):
    """What both modules offer; `plain` says what each call does."""

    @property
    def NAME(self) -> str: ...  # noqa: N802
    @property
    def Program(  # noqa: N802
        self,
    ) -> Callable[[bytes, int, list[bytes], bytes, int, bytes | None], Any]: ...
    def decode(
        self,
        layout: bytes,
        programs: Mapping[int, Any],
        column: RawBinary,
        assigned: memoryview | None,
        max_bytes: int,
        /,
    ) -> tuple[list[RawColumn], list[RawBroken]]: ...
    def ids(self, column: RawBinary, assigned: memoryview | None, /) -> list[int]: ...


def _choose() -> Implementation:
    if not wants_plain():
        try:
            from ottla.client.values.programs import _programs
        except ImportError:
            pass
        else:
            return _programs
    return plain


IMPLEMENTATION: Final = _choose()
