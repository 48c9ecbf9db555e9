# The compiled twin of `plain`, from `native/`.

from collections.abc import Iterator
from typing import Final, Self, TypeVar

from ottla.client.columns.binary import RawBinary, RawColumns
from ottla.client.columns.plain import Decoded, Pairs
from ottla.records.batch import Buffer

_R = TypeVar("_R")

NAME: Final[str]

def decode(
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
def records(record_type: type[_R], topic: str, columns: RawColumns, /) -> Iterator[_R]: ...
def crc32c(data: Buffer, hardware: bool = True, /) -> int: ...
def hash_key(name: str, key: Buffer, /) -> int: ...
def hash_keys(name: str, keys: RawBinary, partitions: int, null: int, empty: int, /) -> memoryview: ...
def group_rows(partition: memoryview, partitions: int, /) -> tuple[memoryview, memoryview]: ...

class BatchBuilder:
    def __new__(cls, max_bytes: int, /) -> Self: ...
    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    def append(self, timestamp: int, key: Buffer | None, value: Buffer | None, headers: Pairs, /) -> bool: ...
    def append_rows(
        self, columns: RawColumns, order: memoryview | None, start: int, stop: int, now: int, /
    ) -> int: ...
    def finish(self) -> bytearray: ...
