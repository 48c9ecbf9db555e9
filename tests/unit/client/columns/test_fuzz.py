"""Hostile bytes and columns that lie: both implementations say the same, and C stays in its memory.

`./dev sanitize` runs this against a library that notices the latter. With `--full` it takes minutes.
"""

from __future__ import annotations

import os
import random
from array import array
from collections.abc import Callable, Iterator, Sequence

import pytest

from ottla.client.columns import plain
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.decode import CorruptRecordsError, FetchedRecords
from ottla.client.columns.implementation import Implementation, Sink
from ottla.records import codec
from ottla.records.batch import CRC, compute_crc
from ottla.records.compression import Codec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

ROUNDS = 1500
FULL_ROUNDS = 200_000
LIMIT = 1 << 20  # of what a batch may inflate to

EXTREMES = [b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\xff\xff"]
VARINTS = [
    b"\xff\xff\xff\xff\x0f",  # the lowest of 32 bits
    b"\xfe\xff\xff\xff\x0f",  # the highest
    b"\xff" * 9 + b"\x01",
    b"\xfe" + b"\xff" * 8 + b"\x01",
    b"\xff" * 10,
    b"\x80" * 5,
    b"\x80\x80\x80\x80\x10",
    b"\x01",
    b"\x7f",
    b"\x80\x01",
]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return FULL_ROUNDS if request.config.getoption("--full") else ROUNDS


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("OTTLA_FUZZ_SEED", "1"))


def _string(chance: random.Random) -> bytes | None:
    return None if chance.random() < 0.2 else chance.randbytes(chance.choice((0, 1, 5, 63, 64, 65, 300)))


def _headers(chance: random.Random) -> tuple[tuple[str, bytes | None], ...]:
    count = chance.choice((0, 0, 0, 1, 3))
    return tuple(("h" * chance.randrange(3), _string(chance)) for _ in range(count))


def _batch(chance: random.Random) -> bytearray:
    base = chance.choice((0, 7, 1 << 40))
    count = chance.choice((0, 1, 1, 2, 5, 70))
    records = [
        codec.Record(
            base + i, chance.choice((-1, 5, 1 << 41)), _string(chance), _string(chance), _headers(chance)
        )
        for i in range(count)
    ]
    is_control = chance.random() < 0.1
    return bytearray(
        codec.encode_batch(
            records,
            base_offset=base,
            codec=chance.choice((*Codec, Codec.none, Codec.none, Codec.none)),
            producer_id=chance.choice((-1, 1, 2)),
            is_transactional=is_control or chance.random() < 0.3,
            is_control=is_control,
            timestamp_type=chance.randrange(2),
        )
    )


def _damage(data: bytearray, chance: random.Random) -> None:
    """Change `data` somewhere, most often near numbers, and mend the CRC of the first batch mostly."""
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data))
        kind = chance.randrange(6)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            at = chance.choice((0, 8, 12, 16, 21, 23, 27, 35, 43, 57))
            number = chance.choice(EXTREMES)
            data[at : at + len(number)] = number
        elif kind == 2:
            at = min(len(data) - 1, chance.choice((61, 62, 63, 64, 65, 66, 67)))
            data[at : at + 1] = chance.choice(VARINTS)
        elif kind == 3:
            data[at : at + 1] = chance.choice(VARINTS)
        elif kind == 4:
            del data[at : at + chance.randrange(1, 9)]
        else:
            data[at:at] = chance.randbytes(chance.randrange(9))
        if not data:
            data += b"\0"
    if len(data) > 61 and chance.random() < 0.8:
        data[8:12] = (len(data) - 12).to_bytes(4, "big") if chance.random() < 0.7 else data[8:12]
        data[CRC : CRC + 4] = compute_crc(data).to_bytes(4, "big")


def _inputs(chance: random.Random, rounds: int) -> Iterator[bytes]:
    for _ in range(rounds):
        if chance.random() < 0.03:
            yield chance.randbytes(chance.choice((0, 16, 17, 60, 61, 62, 100, 1000)))
            continue
        data = bytearray()
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            batch = _batch(chance)
            if chance.random() < 0.8:
                _damage(batch, chance)
            data += batch
        if chance.random() < 0.2:
            del data[chance.randrange(len(data) + 1) :]
        yield bytes(data)


Answer = tuple[list[list[Record]], int, int, int, str | None]


def _answer(data: bytes, checks: bool, limits: tuple[int, int], implementation: Implementation) -> Answer:
    # An array has no byte after its last, as bytes have, in which reading too far would not be noticed.
    fetched = FetchedRecords(
        memoryview(array("B", data)),
        fetch_offset=limits[0],
        aborted=[(1, 3), (2, 0)],
        check_crcs=checks,
        max_batch_bytes=LIMIT,
        implementation=implementation,
    )
    pieces: list[list[Record]] = []
    error = None
    try:
        while (columns := fetched.read(max_records=limits[1])) is not None:
            pieces.append(list(columns.records(implementation=implementation)))
    except CorruptRecordsError as caught:
        # Which of several faults is told may differ.
        error = f"{caught.code.name} at {caught.offset}"
    return pieces, fetched.next_offset, fetched.leader_epoch, fetched.left, error


def test_both_say_the_same_of_any_bytes(compiled: Implementation, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    told = 0
    for number, data in enumerate(_inputs(chance, rounds)):
        checks = chance.random() < 0.7
        limits = chance.choice((0, 3, 1 << 40)), chance.choice((1, 3, 1000))
        expected = _answer(data, checks, limits, plain)
        assert compiled.last_batch(array("B", data)) == plain.last_batch(data), (seed, number)
        assert _answer(data, checks, limits, compiled) == expected, (seed, number)
        told += expected[-1] is not None
    assert rounds // 10 < told < rounds  # the damage is neither always fatal nor never


def test_both_gather_the_same_whatever_is_in_the_sink(
    compiled: Implementation, rounds: int, seed: int
) -> None:
    chance = random.Random(seed)
    twins: list[tuple[Sink, Implementation]] = [(each.Sink(700), each) for each in (plain, compiled)]
    gathered = 0
    for number, data in enumerate(_inputs(chance, rounds // 2)):
        limits = {"max_records": chance.choice((1, 10, 300)), "max_bytes": chance.choice((100, 20_000))}
        told = [_gather(sink, data, each, limits) for sink, each in twins]
        assert told[0] == told[1], (seed, number)
        gathered += told[0] != 0
        if chance.random() < 0.1:
            found = [list(Columns.from_raw(sink.take()).records(implementation=each)) for sink, each in twins]
            assert found[0] == found[1], (seed, number)
    assert gathered > rounds // 50


def _gather(sink: Sink, data: bytes, implementation: Implementation, limits: dict[str, int]) -> int:
    """How many rows came; less than none where what comes is broken."""
    view = memoryview(array("B", data))
    fetched = FetchedRecords(view, check_crcs=False, max_batch_bytes=LIMIT, implementation=implementation)
    try:
        return fetched.gather(sink, **limits)
    except CorruptRecordsError as caught:
        return -caught.code


def _lying_strings(chance: random.Random, length: int) -> BinaryColumn:
    data = chance.randbytes(chance.choice((0, 5, 40)))
    kind = chance.choice("iq")
    ends = sorted(chance.randrange(len(data) + 1) for _ in range(length + 1))
    if chance.random() < 0.5:
        ends[chance.randrange(len(ends))] = chance.choice((-1, 41, (1 << 31) - 1, -(1 << 31), 1 << 20))
    validity = chance.randbytes(length // 8 + 1) if chance.random() < 0.5 else None
    return BinaryColumn(memoryview(array(kind, ends)), memoryview(array("B", data)), validity, 0, length)


def _lying_columns(chance: random.Random) -> Columns:
    rows = chance.randrange(1, 5)
    entries = chance.randrange(4)
    ends = sorted(chance.randrange(entries + 1) for _ in range(rows + 1))
    if chance.random() < 0.3:
        ends[chance.randrange(rows + 1)] = chance.choice((-1, entries + 1, 1 << 30))
    headers = HeadersColumn(
        memoryview(array("i", ends)), _lying_strings(chance, entries), _lying_strings(chance, entries)
    )
    times = [chance.choice((-1, 0, 1 << 62, -(1 << 62))) for _ in range(rows)]
    return Columns(
        memoryview(array("i", range(rows))),
        memoryview(array("q", range(rows))),
        memoryview(array("q", times)),
        memoryview(array("b", [0] * rows)),
        _lying_strings(chance, rows),
        _lying_strings(chance, rows),
        headers,
    )


def test_columns_that_lie_are_refused_or_read(compiled: Implementation, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    refused = 0
    for _ in range(rounds):
        columns = _lying_columns(chance)
        order = memoryview(array("q", [chance.randrange(-1, 5) for _ in range(3)]))
        builder = compiled.BatchBuilder(chance.choice((1, 100, 1000)))
        uses: list[tuple[Callable[..., object], Sequence[object]]] = [
            (lambda given: list(given.records(implementation=compiled)), (columns,)),
            (builder.append_rows, (columns.raw, None, 0, len(columns), 5)),
            (builder.append_rows, (columns.raw, order, 0, 3, 5)),
            (compiled.hash_keys, ("murmur2", columns.key.raw, 7, -1, 0)),
            (compiled.concat, ([columns.raw, columns.raw, _lying_columns(chance).raw],)),
            (compiled.strings, (columns.value.raw,)),
            (compiled.join, (columns.value.raw, b"\n", b"null")),
            (compiled.group_rows, (columns.key.offsets, chance.randrange(1, 9))),
        ]
        for call, arguments in uses:
            try:
                call(*arguments)
            except ValueError:
                refused += 1
        if builder.count:
            builder.finish()
    assert rounds < refused < 6 * rounds
