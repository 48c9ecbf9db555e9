"""Any records, and a format's way there and back."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hypothesis import strategies as st

from ottla.cli.formats.interface import ANYWHERE, Decoder, Encoder, InputError, Rows
from ottla.client.columns.binary import HeadersColumn
from ottla.client.columns.columns import Columns, Record

BYTES = st.binary(max_size=12) | st.sampled_from(
    [
        b"",
        b"null",
        rb"\N",
        b"007",
        b"1e5",
        b"-1.50",
        b"a\r",
        b"\r\n",
        b"\n\n",
        b'"',
        b'"",',
        b"\xff\xfe",
        b"\xc3\xa9",
        b"\\x0a",
    ]
)
BYTES_OR_NULL = st.none() | BYTES
NAMES = st.binary(max_size=6).map(lambda name: name.decode("utf-8", "surrogateescape"))
HEADERS = st.lists(st.tuples(NAMES, BYTES_OR_NULL), max_size=3).map(tuple)


def record(**fields: object) -> st.SearchStrategy[Record]:
    given = {
        "topic": st.just("t"),
        "partition": st.integers(0, 3),
        "offset": st.integers(0, 2**63 - 1),
        "timestamp": st.integers(-1, 2**63 - 1),
        "timestamp_type": st.just(0),
        "key": BYTES_OR_NULL,
        "value": BYTES_OR_NULL,
        "headers": HEADERS,
    }
    return st.builds(Record, **{**given, **fields})  # type: ignore[arg-type]


class Sent(NamedTuple):
    """What is sent of a record."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp: int = -1
    partition: int = ANYWHERE


def sent_of(record: Record) -> Sent:
    headers = tuple((name.encode("utf-8", "surrogateescape"), value) for name, value in record.headers)
    return Sent(record.key, record.value, headers, record.timestamp, record.partition)


def written(encoder: Encoder, batches: Iterable[list[Record]], topic: str = "t") -> bytes:
    parts = [encoder.begin()]
    parts += [encoder.rows(topic, Columns.of(batch)) for batch in batches]
    parts.append(encoder.end())
    return b"".join(parts)


def read(decoder: Decoder, data: bytes, step: int | None = None) -> list[Sent]:
    """Fed in pieces of `step` bytes."""
    step = step or len(data) or 1
    rows: list[Rows] = []
    for at in range(0, len(data), step):
        rows += decoder.feed(data[at : at + step])
    rows += decoder.end()
    return list(sent(rows))


def read_until_wrong(decoder: Decoder, data: bytes) -> tuple[list[Sent], str]:
    """The records before something that is wrong, and what is."""
    got: list[Sent] = []
    try:
        for each in itertools.chain(decoder.feed(data), decoder.end()):
            got += sent([each])
    except InputError as error:
        return got, str(error)
    return got, ""


def sent(rows: Iterable[Rows]) -> Iterator[Sent]:
    for columns, partitions, places in rows:
        assert len(places.numbers) == len(columns)
        headers: HeadersColumn = columns.headers
        for row in range(len(columns)):
            where = ANYWHERE if partitions is None else partitions[row]
            yield Sent(columns.key[row], columns.value[row], headers[row], columns.timestamp[row], where)
