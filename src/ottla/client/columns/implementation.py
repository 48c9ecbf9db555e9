"""Which code turns batches into columns and back: `_columns`, where it is compiled, or `plain`.

`OTTLA_COLUMNS=plain` in the environment asks for the latter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from ottla.client.columns import plain
from ottla.client.columns.binary import RawColumns
from ottla.client.columns.plain import Decoded
from ottla.records.batch import Buffer

__all__ = ["IMPLEMENTATION", "Implementation"]

R = TypeVar("R")


class Implementation(Protocol):
    """What both modules offer; `plain` says what each call does."""

    @property
    def NAME(self) -> str: ...  # noqa: N802

    def decode(
        self,
        data: Buffer,
        pos: int,
        partition: int,
        fetch_offset: int,
        reached: tuple[int, int],
        aborted: list[tuple[int, int]],
        active: set[int],
        check_crcs: bool,
        limits: tuple[int, int, int],
        /,
    ) -> Decoded: ...

    def records(self, record_type: type[R], topic: str, columns: RawColumns, /) -> Iterator[R]: ...


def _choose() -> Implementation:
    if os.environ.get("OTTLA_COLUMNS") != "plain":
        try:
            from ottla.client.columns import _columns
        except ImportError:
            pass
        else:
            return _columns
    return plain


IMPLEMENTATION: Final = _choose()
