"""What a format is, and the rows that it is about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Final, NamedTuple, Protocol

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION

Headers = Sequence[tuple[bytes, bytes | None]]

ANYWHERE: Final = -1
"""In place of a partition: as the key says."""
NOW: Final = -1
"""In place of a timestamp: the time of sending."""
HOW_TO_SEND_MORE: Final = "-X max.request.size=N allows more"


class InputError(ValueError):
    """What is wrong with input, and where."""


class Encoder(ABC):
    """Records of topics to bytes: `begin` once, `rows` for each piece, `end` once."""

    is_whole = False
    """Nothing of it can be read before its end."""
    waits = False
    """`rows` may wait for a registry."""

    def begin(self) -> bytes:
        return b""

    @abstractmethod
    def rows(self, topic: str, rows: Columns) -> bytes: ...

    def end(self) -> bytes:
        return b""

    def caution(self) -> str | None:
        """What somebody who reads the output should know."""
        return None


Pairs = tuple[tuple[bytes, bytes | None], ...]


def each_of(rows: Columns) -> Iterator[tuple[int, int, int, bytes | None, bytes | None, Pairs]]:
    """Partition, offset, timestamp, key, value and headers of each record."""
    return zip(
        rows.partition.tolist(),
        rows.offset.tolist(),
        rows.timestamp.tolist(),
        IMPLEMENTATION.strings(rows.key.raw),
        IMPLEMENTATION.strings(rows.value.raw),
        rows.headers,
        strict=True,
    )


class Rows(NamedTuple):
    """Records to send: keys, values, headers, and timestamps or `NOW`. `partitions` (int32) has one or
    `ANYWHERE` for each, None is `ANYWHERE` for all. `places` says where each was.
    """

    columns: Columns
    partitions: memoryview | None
    places: Places


class Places(NamedTuple):
    """Where rows were: "line 3"."""

    what: str
    numbers: Sequence[int]

    def of(self, row: int) -> str:
        return f"{self.what} {self.numbers[row]}"


class Decoder(Protocol):
    """Bytes to records, as they come. InputError for what is none; what was before it is given before."""

    def feed(self, data: bytes) -> Iterator[Rows]: ...
    def end(self) -> Iterator[Rows]: ...


class FileDecoder(Protocol):
    """As `Decoder`, of a format that a library reads."""

    needs_seeking: bool
    """It is read here and there."""

    def read(self, file: IO[bytes]) -> Iterator[Rows]: ...


class Defaults(NamedTuple):
    """What records have that say nothing else, and how many bytes a record may have."""

    headers: Headers = ()
    record_max_bytes: int = (1 << 20) - 128


class Parsed(NamedTuple):
    """One record of input; `headers` None are the default ones."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    timestamp: int = NOW
    partition: int = ANYWHERE


class Gathered:
    """Records that were read one by one, until they are taken as rows."""

    def __init__(self, defaults: Defaults, what: str = "line") -> None:
        self._defaults = defaults
        self._what = what
        self._records: list[Parsed] = []
        self._numbers: list[int] = []

    def add(self, record: Parsed, number: int) -> None:
        """InputError where it is larger than records may be."""
        headers = self._defaults.headers if record.headers is None else record.headers
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(name) + len(value or b"") + 10 for name, value in headers)
        if size > self._defaults.record_max_bytes:
            raise InputError(
                f"{self._what} {number}: a record of {size:,} bytes is too large ({HOW_TO_SEND_MORE})"
            )
        self._records.append(record)
        self._numbers.append(number)

    def of(
        self, parts: Iterable[tuple[int, bytes]], parse: Callable[[bytes], Parsed | None]
    ) -> Iterator[Rows]:
        """What `parse` makes of numbered parts; None is no record, and its ValueErrors say what is wrong."""
        failure: InputError | None = None
        try:
            for number, part in parts:
                try:
                    record = parse(part)
                except ValueError as error:
                    raise InputError(f"{self._what} {number}: {error}") from error
                if record is not None:
                    self.add(record, number)
        except InputError as error:
            failure = error
        yield from self.take()
        if failure is not None:
            raise failure

    def take(self) -> Iterator[Rows]:
        """All of them, if there are any."""
        records, numbers = self._records, self._numbers
        self._records, self._numbers = [], []
        if not records:
            return
        keys, values, headers, timestamps, partitions = zip(*records, strict=True)
        default = self._defaults.headers
        columns = columns_of(
            BinaryColumn.of(keys),
            BinaryColumn.of(values),
            HeadersColumn.of([default if each is None else each for each in headers])
            if default or any(headers)
            else None,
            memoryview(array("q", timestamps)),
        )
        is_anywhere = max(partitions) == ANYWHERE
        where = None if is_anywhere else memoryview(array("i", partitions))
        yield Rows(columns, where, Places(self._what, numbers))


def columns_of(
    key: BinaryColumn | None,
    value: BinaryColumn,
    headers: HeadersColumn | None = None,
    timestamp: memoryview | None = None,
    partition: memoryview | None = None,
) -> Columns:
    """Rows that are nowhere yet: no keys, no headers, and `NOW` where these are not given."""
    count = len(value)
    return Columns(
        memoryview(bytes(4 * count)).cast("i") if partition is None else partition,
        memoryview(bytes(8 * count)).cast("q"),
        memoryview(b"\xff" * (8 * count)).cast("q") if timestamp is None else timestamp,
        memoryview(bytes(count)).cast("b"),
        nulls(count) if key is None else key,
        value,
        HeadersColumn.none(count) if headers is None else headers,
    )


def nulls(count: int) -> BinaryColumn:
    return BinaryColumn(memoryview(bytes(4 * (count + 1))).cast("i"), b"", bytes((count + 7) // 8))


def repeated(headers: Headers, count: int) -> HeadersColumn | None:
    """The same headers for each of so many records; None for none."""
    if not headers:
        return None
    step = len(headers)
    names, values = zip(*headers, strict=True)
    ends = array("i", range(0, step * count + 1, step))
    return HeadersColumn(memoryview(ends), BinaryColumn.of(names * count), BinaryColumn.of(values * count))
