"""CSV (RFC 4180), of any bytes. An empty field is null, `""` the empty string, and nothing is taken for a
number: what a field holds goes out as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ottla.cli.arguments import MAX_INT32, MAX_INT64
from ottla.cli.formats.interface import (
    ANYWHERE,
    NOW,
    Defaults,
    Encoder,
    Gathered,
    InputError,
    Parsed,
    Rows,
    each_of,
)
from ottla.cli.formats.json import headers_from_json, headers_to_json
from ottla.cli.formats.lines import Blocks
from ottla.client.columns.columns import Columns

COLUMNS: Final = (b"topic", b"partition", b"offset", b"timestamp", b"key", b"value", b"headers")
_SPECIAL: Final = re.compile(rb'[",\r\n]')
_FIELD: Final = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",]*))(?:(,)|\Z)')
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_OVERHEAD: Final = 4096  # for what is no content


class CsvEncoder(Encoder):
    """A first line with the names of columns, then a record each; headers as in lines of JSON."""

    def begin(self) -> bytes:
        return b",".join(COLUMNS) + b"\n"

    def rows(self, topic: str, rows: Columns) -> bytes:
        name = field(topic.encode("utf-8", "surrogateescape"))
        lines = [
            b"%b,%d,%d,%b,%b,%b,%b\n"
            % (
                name,
                partition,
                offset,
                b"" if timestamp == NOW else b"%d" % timestamp,
                field(key),
                field(value),
                field(headers_to_json(pairs).encode()) if pairs else b"",
            )
            for partition, offset, timestamp, key, value, pairs in each_of(rows)
        ]
        return b"".join(lines)


class CsvDecoder:
    """Records, where the first line names a key or a value; else any table: `key_column` is the key, and the
    value an object of JSON with the other columns as strings.
    """

    def __init__(self, defaults: Defaults, *, key_column: str | None = None) -> None:
        self._max_bytes = 2 * defaults.record_max_bytes + _LINE_OVERHEAD  # a quote is two
        self._blocks = Blocks(self._max_bytes)
        self._gathered = Gathered(defaults)
        self._key_column = None if key_column is None else key_column.encode("utf-8", "surrogateescape")
        self._names: list[bytes] = []
        self._is_table = False
        self._begun: list[bytes] = []
        self._begun_bytes = 0
        self._begun_line = 0

    def feed(self, data: bytes) -> Iterator[Rows]:
        block = self._blocks.feed(data)
        return self._rows(() if block is None else self._blocks.lines(block))

    def end(self) -> Iterator[Rows]:
        last = self._blocks.end()
        yield from self._rows(() if last is None else self._blocks.lines(last))
        if self._begun:
            raise InputError(f"line {self._begun_line}: a quote is opened and not closed")

    def _rows(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Rows]:
        return self._gathered.of(self._whole(lines), self._parsed)

    def _whole(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Rows, which go on over ends of lines inside of quotes: where their number is odd."""
        for number, line in lines:
            is_even = line.count(b'"') % 2 == 0
            if not self._begun:
                if is_even:
                    yield number, line
                    continue
                self._begun_line, self._begun_bytes = number, 0
            self._begun.append(line)
            self._begun_bytes += len(line) + 1
            if self._begun_bytes > self._max_bytes:
                raise InputError(
                    f"line {self._begun_line}: a quote is not closed within {self._max_bytes:,} bytes"
                )
            if len(self._begun) > 1 and not is_even:
                row = b"\n".join(self._begun)
                self._begun = []
                yield self._begun_line, row

    def _parsed(self, row: bytes) -> Parsed | None:
        if not self._names:
            self._begin(row.removeprefix(_BYTE_ORDER_MARK))
            return None
        if row in (b"", b"\r") and len(self._names) > 1:
            return None
        fields = split(row)
        if len(fields) != len(self._names):
            raise ValueError(f"{len(fields)} fields, where {len(self._names)} columns are named")
        return self._of_table(fields) if self._is_table else self._of_record(fields)

    def _begin(self, row: bytes) -> None:
        self._names = [each or b"" for each in split(row)]
        twice = next((name for name in self._names if self._names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"column {shown(twice)} is there twice")
        self._is_table = self._key_column is not None or not {b"key", b"value"} & {*self._names}
        if self._key_column is not None and self._key_column not in self._names:
            names = ", ".join(map(shown, self._names))
            raise ValueError(f"there is no column {shown(self._key_column)}: {names}")

    def _of_record(self, fields: Sequence[bytes | None]) -> Parsed:
        named = dict(zip(self._names, fields, strict=True))
        headers = named.get(b"headers")
        return Parsed(
            named.get(b"key"),
            named.get(b"value"),
            None if headers is None else headers_from_json(headers) or None,
            _number(named.get(b"timestamp"), "timestamp", MAX_INT64, NOW),
            _number(named.get(b"partition"), "partition", MAX_INT32, ANYWHERE),
        )

    def _of_table(self, fields: Sequence[bytes | None]) -> Parsed:
        named = dict(zip(self._names, fields, strict=True))
        key = None if self._key_column is None else named.pop(self._key_column)
        texts = {
            _text(name, "the name of a column"): None
            if held is None
            else _text(held, f"column {shown(name)}")
            for name, held in named.items()
        }
        return Parsed(key, json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode())


def field(data: bytes | None) -> bytes:
    if data is None:
        return b""
    if data and _SPECIAL.search(data) is None:
        return data
    return b'"' + data.replace(b'"', b'""') + b'"'


def split(row: bytes) -> list[bytes | None]:
    """The fields of a row, which may end with a carriage return; ValueError for a quote out of place."""
    row = row.removesuffix(b"\r")
    if b'"' not in row:
        return [each or None for each in row.split(b",")]
    fields: list[bytes | None] = []
    at = 0
    while True:
        found = _FIELD.match(row, at)
        if found is None:
            raise ValueError("a quote is neither at the begin nor at the end of a field, nor doubled")
        quoted, plain, comma = found.groups()
        fields.append(plain or None if quoted is None else quoted.replace(b'""', b'"'))
        at = found.end()
        if comma is None:
            return fields


def _number(data: bytes | None, name: str, highest: int, missing: int) -> int:
    if data is None:
        return missing
    if not re.fullmatch(rb"[0-9]{1,19}", data) or int(data) > highest:
        raise ValueError(f"{name} is no number from 0 to {highest}")
    return int(data)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8, which JSON has to be") from None


def shown(name: bytes) -> str:
    return ascii(name.decode("utf-8", "surrogateescape"))
