"""Which code turns batches into columns and back: `_columns`, where it is compiled, or `plain`.

`OTTLA_COLUMNS=plain` in the environment asks for the latter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from ottla.client.columns.binary import RawBinary, RawColumns
from ottla.records.batch import Buffer

if TYPE_CHECKING:
    from ottla.client.columns.plain import Decoded, Pairs

__all__ = ["IMPLEMENTATION", "Builder", "Implementation", "Sink", "wants_plain"]

R = TypeVar("R")


class Builder(Protocol):
    """A batch in the making."""

    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    def append(self, timestamp: int, key: Buffer | None, value: Buffer | None, headers: Pairs, /) -> bool: ...
    def append_rows(
        self, columns: RawColumns, order: memoryview | None, start: int, stop: int, now: int, /
    ) -> int: ...
    def finish(self) -> bytearray: ...


class Sink(Protocol):
    """Where decoded records go until they are taken as columns."""

    @property
    def count(self) -> int: ...
    def take(self, /) -> RawColumns: ...


class Implementation(Protocol):
    """What both modules offer; `plain` says what each call does."""

    @property
    def NAME(self) -> str: ...  # noqa: N802
    @property
    def BatchBuilder(self) -> Callable[[int], Builder]: ...  # noqa: N802
    @property
    def Sink(self) -> Callable[[int], Sink]: ...  # noqa: N802
    def allocate(self, size: int, /) -> memoryview: ...
    def concat(self, parts: list[RawColumns], /) -> RawColumns: ...
    def decode(
        self,
        sink: Any,  # one of its own
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
    def last_batch(self, data: Buffer, /) -> int: ...
    def seal(
        self,
        batch: bytearray,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int,
        is_transactional: bool,
        /,
    ) -> None: ...
    def records(self, record_type: type[R], topic: str, columns: RawColumns, /) -> Iterator[R]: ...
    def strings(self, column: RawBinary, /) -> list[bytes | None]: ...
    def split(self, data: Buffer, delimiter: bytes, /) -> tuple[RawBinary, int]: ...
    def join(self, column: RawBinary, delimiter: bytes, null: bytes, /) -> tuple[bytes, int]: ...
    def crc32c(self, data: Buffer, /) -> int: ...
    def hash_key(self, name: str, key: Buffer, /) -> int: ...
    def hash_keys(
        self, name: str, keys: RawBinary, partitions: int, null: int, empty: int, /
    ) -> memoryview: ...
    def group_rows(self, partition: memoryview, partitions: int, /) -> tuple[memoryview, memoryview]: ...


def wants_plain() -> bool:
    """Whether the environment asks for no compiled code."""
    return os.environ.get("OTTLA_COLUMNS") == "plain"


def _choose() -> Implementation:
    if not wants_plain():
        try:
            from ottla.client.columns import _columns
        except ImportError:
            pass
        else:
            return _columns
    from ottla.client.columns import plain

    return plain


IMPLEMENTATION: Final = _choose()
