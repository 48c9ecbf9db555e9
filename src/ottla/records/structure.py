"""Walks over the encoded records of a batch that make no object for each record.

Every field of every record is read, as Kafka reads it before it appends a batch, and nothing is believed:
the work is bounded by the data, whatever the numbers in it claim. A batch that cannot be read is refused with
KafkaError(invalid_record).

Compiled, the walk is a few nanoseconds for each record. Interpreted it is half a microsecond, several times
what the rest of a produced record costs. Most producers' records resemble each other, so that is avoided for
runs of records of one shape, which are as long as each other and have their numbers in the same places: a
slice with a step is then one number of all of them, and is compared as a whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Final

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.varint import MAX_INT32_BYTES, encode_varint, read_long_varint, read_varint

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine's integer where this is compiled, otherwise just an integer

__all__ = ["IRREGULAR", "NULL_KEY", "check_records", "iter_records", "longest_record", "rewrite_records"]

_MIN_INT64: Final = -(1 << 63)
_MAX_INT64: Final = (1 << 63) - 1
_MIN_RUN: Final = 5  # with fewer records a walk is as fast
_NULL: Final = 1  # -1 in zigzag
_LONG: Final = 1 << 14  # numbers from here on take three bytes

# What was seen among the records.
NULL_KEY: Final = 1
IRREGULAR: Final = 2


def check_records(data: bytes, pos: int, count: int) -> tuple[int, int, int]:
    """Check that `data` from `pos` on is `count` whole records and nothing else; `count` is at least 1.

    Returns the lowest and the highest timestamp delta, and what was seen: `NULL_KEY`, and `IRREGULAR` for
    records that are not numbered 0, 1, 2 and so on, or have another length below zero than the -1 of a null.
    Kafka takes those too; `rewrite_records` makes regular ones of them.
    """
    try:
        if count < _MIN_RUN or _IS_COMPILED:
            end, lowest, highest, seen = _walk(data, pos, 0, count)
        else:
            end, lowest, highest, seen = _walk_runs(data, pos, count)
    except (IndexError, KafkaError):
        raise _malformed() from None
    if end != len(data):
        raise _malformed()
    return lowest, highest, seen


def iter_records(data: bytes, pos: int, count: int) -> Iterator[tuple[int, bool]]:
    """The timestamp delta, and whether there is a key, of each record that `check_records` has passed."""
    for _ in range(count):
        length, start = read_varint(data, pos)
        pos = start + length
        delta, at = read_varint(data, start + 1)
        _, at = read_varint(data, at)
        key_length, _ = read_varint(data, at)
        yield delta, key_length >= 0


def longest_record(data: bytes, pos: int, count: int) -> int:
    """The length of the longest of the records that `check_records` has passed, as it stands before each."""
    longest = 0
    for _ in range(count):
        length, start = read_varint(data, pos)
        pos = start + length
        longest = max(longest, length)
    return longest


def rewrite_records(data: bytes, pos: int, count: int) -> bytes:
    """The records that `check_records` has passed, numbered from 0 on, in their shortest regular form."""
    records = bytearray()
    for index in range(count):
        _, at = read_varint(data, pos)
        delta, at = read_varint(data, at + 1)
        _, at = read_varint(data, at)
        record = bytearray(b"\0") + encode_varint(delta) + encode_varint(index)
        for _ in range(2):
            at = _copy_field(data, at, record)
        header_count, pos = read_varint(data, at)
        record += encode_varint(header_count)
        for _ in range(2 * header_count):
            pos = _copy_field(data, pos, record)
        records += encode_varint(len(record)) + record
    return bytes(records)


def _copy_field(data: bytes, pos: int, record: bytearray) -> int:
    """Add a length and its bytes at `pos` to `record`; the position after them."""
    length, pos = read_varint(data, pos)
    if length < 0:
        record.append(_NULL)
        return pos
    record += encode_varint(length) + data[pos : pos + length]
    return pos + length


# Numbers of one and two bytes are read inline: a call takes as long as all the rest.
def _walk(data: bytes, start: int, first: int, last: int) -> tuple[int, int, int, int]:  # noqa: C901
    """Read the records `first` to `last` (not included), at least one, from `start` on: the position after
    them, the lowest and the highest timestamp delta, and what was seen. IndexError where the data ends."""
    pos: i64 = start
    offset: i64
    number: i64
    second: i64
    record_end: i64
    lowest: i64 = _MAX_INT64
    highest: i64 = _MIN_INT64
    seen: i64 = 0
    for offset in range(2 * first, 2 * last, 2):  # in zigzag, as numbers are here unless they say otherwise
        if (number := data[pos]) < 0x80:  # the record's length
            pos += 1
        elif (second := data[pos + 1]) < 0x80:
            number = number & 0x7F | second << 7
            pos += 2
        else:
            number, pos = _read_long(data, pos)
        if number & 1:
            raise _malformed()
        record_end = pos + (number >> 1)
        number = data[pos + 1]  # the timestamp delta; the attributes before it have no meaning
        pos += 2
        if number < 0x80:
            number = (number >> 1) ^ -(number & 1)
        else:
            number, pos = read_long_varint(data, pos - 1)
        if number > highest:
            highest = number
        if number < lowest:
            lowest = number
        if (number := data[pos]) < 0x80:  # the offset delta
            pos += 1
        elif (second := data[pos + 1]) < 0x80:
            number = number & 0x7F | second << 7
            pos += 2
        else:
            number, pos = _read_long(data, pos)
        if number != offset:
            seen |= IRREGULAR
        number = data[pos]  # the key's length
        pos += 1
        if number >= 0x80:
            number, pos = _read_long(data, pos - 1)
        if number == _NULL:
            seen |= NULL_KEY
        elif number & 1:
            seen |= NULL_KEY | IRREGULAR
        else:
            pos += number >> 1
        if (number := data[pos]) < 0x80:  # the value's length
            pos += 1
        elif (second := data[pos + 1]) < 0x80:
            number = number & 0x7F | second << 7
            pos += 2
        else:
            number, pos = _read_long(data, pos)
        if not number & 1:
            pos += number >> 1
        elif number != _NULL:
            seen |= IRREGULAR
        number = data[pos]  # the count of headers
        pos += 1
        if number:
            pos, second = _skip_headers(data, pos - 1)
            seen |= second
        if pos != record_end:
            raise _malformed()
    return pos, lowest, highest, seen


def _read_long(data: bytes, pos: i64) -> tuple[i64, i64]:
    """The number of more than a byte at `pos`, in zigzag still, and the position after it."""
    number: i64 = data[pos] & 0x7F
    byte: i64 = data[pos + 1]
    if byte < 0x80:
        return number | byte << 7, pos + 2
    number |= (byte & 0x7F) << 7
    byte = data[pos + 2]
    if byte < 0x80:
        return number | byte << 14, pos + 3
    value, after = read_long_varint(data, pos, MAX_INT32_BYTES)
    return (value << 1) ^ (value >> 63), after


def _skip_headers(data: bytes, start: i64) -> tuple[i64, i64]:
    """The position after the headers that begin, with their count, at `start`, and what was seen."""
    pos: i64
    number: i64
    seen: i64 = 0
    count, pos = read_varint(data, start, MAX_INT32_BYTES)
    if count < 0:
        raise _malformed()
    for _ in range(count):
        number = data[pos]
        pos += 1
        if number >= 0x80:
            number, pos = _read_long(data, pos - 1)
        if number & 1:
            raise _malformed()  # a name is never null
        pos += number >> 1
        number = data[pos]
        pos += 1
        if number >= 0x80:
            number, pos = _read_long(data, pos - 1)
        if not number & 1:
            pos += number >> 1
        elif number != _NULL:
            seen = IRREGULAR
    return pos, seen


def _malformed() -> KafkaError:
    return KafkaError(ErrorCode.invalid_record, "the batch's records are malformed")


# Runs of records of one shape.

# The bytes of the offset deltas 0 to 8191 where another byte follows and where none does.
_FIRST_BYTES: Final = bytes(range(128, 256, 2)) * 128
_ONLY_BYTES: Final = bytes(range(0, 128, 2))
_SECOND_BYTES: Final = b"".join(bytes((number,)) * 64 for number in range(128, 256))
_LAST_BYTES: Final = b"".join(bytes((number,)) * 64 for number in range(128))
_TWO_BYTES: Final = 64  # the first that takes two
_THREE_BYTES: Final = 8192
_FOUR_BYTES: Final = 1 << 20

# Numbers of one byte from the lowest to the highest, and of each those up to it and those from it on.
_ASCENDING: Final = bytes((*range(127, 0, -2), *range(0, 128, 2)))
_PLACES: Final = tuple(_ASCENDING.index(number) for number in range(128))
_UP_TO: Final = tuple(_ASCENDING[: place + 1] for place in _PLACES)
_FROM: Final = tuple(_ASCENDING[place:] for place in _PLACES)
_NOT_NEGATIVE: Final = _FIRST_BYTES[:64]  # the first of two bytes of a number that is not negative


def _walk_runs(data: bytes, pos: int, count: int) -> tuple[int, int, int, int]:
    """`_walk` from the first record on, past runs in one step each."""
    index, lowest, highest, seen = 0, _MAX_INT64, _MIN_INT64, 0
    step, most = _MIN_RUN, _TWO_BYTES
    while index < count:
        last, after, low, high, flags = _pass_run(data, pos, index, min(count, index + most))
        # A run is looked for among no more than twice as many as the last one had: looking at all that is
        # left again and again, for a few records each time, would take seconds.
        most = max(_TWO_BYTES, 2 * (last - index))
        if last == index:
            # Nothing alike here: the next look is after twice as many, so that looking costs little.
            last = min(count, index + step)
            after, low, high, flags = _walk(data, pos, index, last)
            step *= 2
        else:
            step = _MIN_RUN
        index, pos = last, after
        if low < lowest:
            lowest = low
        if high > highest:
            highest = high
        seen |= flags
    return pos, lowest, highest, seen


def _pass_run(data: bytes, start: int, first: int, last: int) -> tuple[int, int, int, int, int]:
    """The index and the position after the records from `first` on that have its shape, and what `_walk` says
    of them; `first` and `start` themselves where there is no run."""
    no_run = first, start, 0, 0, 0
    if first < _TWO_BYTES:
        offset_size, after = 1, _TWO_BYTES
    elif first < _FOUR_BYTES:
        offset_size, after = 2 if first < _THREE_BYTES else 3, (first // _THREE_BYTES + 1) * _THREE_BYTES
    else:
        return no_run
    try:
        size, timestamp_at, offset_at, has_key, columns = _shape(data, start, offset_size)
    except IndexError:  # it is another shape than it seemed, or malformed
        return no_run
    count = min(last, after) - first
    if not size or count < _MIN_RUN:
        return no_run
    if count * size > len(data) - start:
        count = (len(data) - start) // size
    end = start + count * size
    for column in columns:
        numbers = data[column:end:size]
        if numbers != numbers[:1] * count:
            count -= len(numbers.lstrip(numbers[:1]))
            end = start + count * size
    lowest, highest, alike = _timestamps(data, timestamp_at, end, size)
    if alike < _MIN_RUN:
        return no_run
    end = start + alike * size
    for numbers in _offset_columns(first, first + alike, offset_size):
        if data[offset_at:end:size] != numbers:
            return no_run
        offset_at += 1
    return first + alike, end, lowest, highest, 0 if has_key else NULL_KEY


def _shape(data: bytes, start: int, offset_size: int) -> tuple[int, int, int, bool, list[int]]:
    """Of the record at `start`: its size, where its timestamp and its offset delta are, whether it has a key,
    and where all other numbers' bytes are, which have to be the same in each record of a run.

    The size is 0 where the next record is not as long, or where this one is of no usual shape or malformed.
    """
    columns = [start]
    number, pos = data[start], start + 1
    if number >= 0x80:
        columns.append(pos)
        number = number & 0x7F | data[pos] << 7
        pos += 1
    end = pos + (number >> 1)
    if number & 1 or number >= _LONG or data[end : end + pos - start] != data[start:pos]:
        return _NO_SHAPE
    timestamp_at = pos + 1
    offset_at = timestamp_at + (1 if data[timestamp_at] < 0x80 else 2)
    key_at = offset_at + offset_size
    pos = _pass_fields(data, key_at, 2, columns, is_nullable=True)
    if not pos:
        return _NO_SHAPE
    columns.append(pos)
    fields = data[pos]  # two for each header: in zigzag their count is doubled
    pos += 1
    if fields:
        pos = _pass_fields(data, pos, fields, columns, is_nullable=False) if fields < 0x80 else 0
    if pos != end or fields & 1:
        return _NO_SHAPE
    return end - start, timestamp_at, offset_at, data[key_at] != _NULL, columns


def _pass_fields(data: bytes, pos: int, fields: int, columns: list[int], *, is_nullable: bool) -> int:
    """The position after so many lengths and their bytes at `pos`, 0 where a length is no usual one."""
    for _ in range(fields):
        columns.append(pos)
        number = data[pos]
        pos += 1
        if number >= 0x80:
            columns.append(pos)
            number = number & 0x7F | data[pos] << 7
            pos += 1
            if number >= _LONG or number == _NULL:
                return 0
        if not number & 1:
            pos += number >> 1
        elif number != _NULL or not is_nullable:
            return 0
    return pos


_NO_SHAPE: Final[tuple[int, int, int, bool, list[int]]] = 0, 0, 0, False, []


def _offset_columns(first: int, last: int, size: int) -> tuple[bytes, ...]:
    """The offset deltas from `first` to `last`, all of `size` bytes: their first bytes, and so on."""
    if size == 1:
        return (_ONLY_BYTES[first:last],)
    if size == 2:
        return _FIRST_BYTES[first:last], _LAST_BYTES[first:last]
    high, low = divmod(first, _THREE_BYTES)
    end = low + last - first
    return _FIRST_BYTES[low:end], _SECOND_BYTES[low:end], bytes((high,)) * (last - first)


def _timestamps(data: bytes, start: int, end: int, size: int) -> tuple[int, int, int]:
    """The lowest and the highest timestamp delta of a run whose first is at `start`, up to the one that takes
    another number of bytes than the first does, and how many those are.

    Of two bytes only what is not negative is read.
    """
    first = data[start:end:size]
    if first[0] < 0x80:
        if not first.isascii():
            alike = len(first) - len(first.lstrip(_ASCENDING))
            first = first[:alike]
        lowest, highest = first[0], first[-1]
        while lower := first.translate(None, _FROM[lowest]):
            lowest = lower[0]
        while higher := first.translate(None, _UP_TO[highest]):
            highest = higher[-1]
        return (lowest >> 1) ^ -(lowest & 1), (highest >> 1) ^ -(highest & 1), len(first)
    second = data[start + 1 : end : size]
    alike = len(first) - max(len(first.lstrip(_NOT_NEGATIVE)), len(second.lstrip(_ASCENDING)))
    if not alike:
        return 0, 0, 0
    numbers = bytearray(2 * alike)
    numbers[::2], numbers[1::2] = first[:alike], second[:alike]
    deltas = struct.unpack(f"<{alike}H", numbers)
    lowest, highest = min(deltas), max(deltas)
    return (lowest & 0x7E | lowest >> 8 << 7) >> 1, (highest & 0x7E | highest >> 8 << 7) >> 1, alike


_IS_COMPILED: Final = type(_walk) is not FunctionType
