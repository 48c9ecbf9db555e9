# The compiled twin of `plain`, from `native/`.

from collections.abc import Iterator
from typing import Final, TypeVar

from ottla.client.columns.binary import RawBinary, RawColumns
from ottla.client.columns.plain import Decoded
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
def hash_keys(key: RawBinary, kind: str, partitions: int, null: int, empty: int, /) -> memoryview: ...
def group_rows(partition: memoryview, partitions: int, /) -> tuple[memoryview, memoryview]: ...
