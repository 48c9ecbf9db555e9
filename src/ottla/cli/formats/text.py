r"""Text: a line for each record, its value, and before it what else is asked for.

As it is, or escaped: with `\n`, `\xNN` and their like for what ends a line or a part of it, and `\N` for
null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ottla.cli.arguments import unescape_bytes
from ottla.cli.formats.interface import (
    Defaults,
    Encoder,
    InputError,
    Places,
    Rows,
    columns_of,
    repeated,
)
from ottla.cli.formats.lines import Blocks, too_long
from ottla.cli.output import iso_time
from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION

NULL: Final = b"null"  # how an absent key or value stands in text
ESCAPED_NULL: Final = rb"\N"
_SHORT: Final = {b"\t": rb"\t", b"\n": rb"\n", b"\r": rb"\r", b"\0": rb"\0", b"\\": rb"\\"}

_Escape = Callable[[bytes | None], bytes]


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Which parts of a record a line shows before its value, each followed by a separator."""

    offsets: bool = False
    timestamps: bool = False
    headers: bool = False
    keys: bool = False
    separator: bytes = b"\t"
    delimiter: bytes = b"\n"
    escapes: bool = False

    @property
    def is_value_only(self) -> bool:
        return not (self.offsets or self.timestamps or self.headers or self.keys)


class TextEncoder(Encoder):
    def __init__(self, kind: TextFormat) -> None:
        self._kind = kind
        self._escaped = Escapes(kind.delimiter, kind.separator) if kind.escapes else None
        self._glued = 0

    def caution(self) -> str | None:
        if not self._glued:
            return None
        return (
            f"{self._glued:,} ends of lines are inside of records: --escape and other formats tell them apart"
        )

    def rows(self, topic: str, rows: Columns) -> bytes:
        kind, escaped = self._kind, self._escaped
        if kind.is_value_only and (escaped is None or escaped.is_needless(rows.value)):
            null = NULL if escaped is None else ESCAPED_NULL
            text, inside = IMPLEMENTATION.join(rows.value.raw, kind.delimiter, null)
        else:
            lines = BinaryColumn.of(self._lines(topic, rows))
            text, inside = IMPLEMENTATION.join(lines.raw, kind.delimiter, b"")
        self._glued += inside
        return text

    def _lines(self, topic: str, rows: Columns) -> list[bytes]:
        kind = self._kind
        shown: _Escape = or_null if self._escaped is None else self._escaped.escape
        parts: list[list[bytes]] = []
        if kind.offsets:
            name = shown(topic.encode("utf-8", "surrogateescape"))
            places = zip(rows.partition.tolist(), rows.offset.tolist(), strict=True)
            parts.append([b"%b-%d:%d" % (name, *place) for place in places])
        if kind.timestamps:
            parts.append([iso_time(each).encode() for each in rows.timestamp.tolist()])
        if kind.headers:
            parts.append(
                [
                    b",".join([b"%b=%b" % (shown(name), shown(value)) for name, value in pairs])
                    for pairs in rows.headers
                ]
            )
        if kind.keys:
            parts.append([shown(each) for each in IMPLEMENTATION.strings(rows.key.raw)])
        parts.append([shown(each) for each in IMPLEMENTATION.strings(rows.value.raw)])
        return parts[0] if len(parts) == 1 else list(map(kind.separator.join, zip(*parts, strict=True)))


class TextDecoder:
    """A line is a value, after a key where there is a `key_separator`."""

    def __init__(
        self,
        defaults: Defaults,
        *,
        key_separator: bytes | None = None,
        delimiter: bytes = b"\n",
        escapes: bool = False,
    ) -> None:
        headers_bytes = sum(len(name) + len(value or b"") + 10 for name, value in defaults.headers)
        self._max_bytes = max(defaults.record_max_bytes - headers_bytes, 0)
        self._line_max_bytes = 4 * self._max_bytes if escapes else self._max_bytes
        self._blocks = Blocks(self._line_max_bytes, delimiter)
        self._headers = defaults.headers
        self._separator = key_separator
        self._escapes = escapes

    def feed(self, data: bytes) -> Iterator[Rows]:
        block = self._blocks.feed(data)
        if block is not None:
            yield from self._rows(block)

    def end(self) -> Iterator[Rows]:
        last = self._blocks.end()
        if last is not None:
            yield from self._rows(last)

    def _rows(self, block: bytes | memoryview) -> Iterator[Rows]:
        if self._separator is not None or (self._escapes and b"\\" in bytes(block)):
            yield from self._parsed(block)
            return
        raw, longest = IMPLEMENTATION.split(block, self._blocks.delimiter)
        value, error = BinaryColumn(*raw), None
        first = self._blocks.next_line
        if longest > self._max_bytes:
            ends = value.offsets.tolist()
            row = next(row for row, end in enumerate(ends[1:]) if end - ends[row] > self._max_bytes)
            value, error = value[:row], too_long(first + row, self._max_bytes)
        self._blocks.next_line += len(value)
        yield from self._of(None, value, first)
        if error is not None:
            raise error

    def _parsed(self, block: bytes | memoryview) -> Iterator[Rows]:
        separator, first = self._separator, self._blocks.next_line
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        failure: InputError | None = None
        for number, line in self._blocks.lines(block):
            try:
                if separator is None:
                    value = self._content(line)
                else:
                    key, found, line = line.partition(separator)
                    if not found:
                        raise ValueError(f"there is no {str(separator)[1:]} to end a key")
                    value = self._content(line)
                    keys.append(self._content(key))
            except ValueError as error:
                failure = InputError(f"line {number}: {error}")
                break
            if len(value or b"") + len(keys[-1] or b"" if keys else b"") > self._max_bytes:
                failure = too_long(number, self._max_bytes)
                break
            values.append(value)
        key_column = None if separator is None else BinaryColumn.of(keys[: len(values)])
        yield from self._of(key_column, BinaryColumn.of(values), first)
        if failure is not None:
            raise failure

    def _content(self, part: bytes) -> bytes | None:
        if not self._escapes or b"\\" not in part:
            return part
        return None if part == ESCAPED_NULL else unescape_bytes(part)

    def _of(self, key: BinaryColumn | None, value: BinaryColumn, first_line: int) -> Iterator[Rows]:
        count = len(value)
        if count:
            columns = columns_of(key, value, repeated(self._headers, count))
            yield Rows(columns, None, Places("line", range(first_line, first_line + count)))


class Escapes:
    """Escapes for what would be taken for a delimiter or a separator. ValueError where these could be taken
    for escapes.
    """

    def __init__(self, *kept_free: bytes) -> None:
        free = sorted({*b"\\\n\r", *b"".join(kept_free)})
        if any(chr(each).isalnum() and each < 128 for each in free) or b"\\" in b"".join(kept_free):
            raise ValueError(
                "with --escape delimiters and separators have no letters, digits and backslashes"
            )
        self._found = re.compile(b"[" + b"".join(rb"\x%02x" % each for each in free) + b"]")
        self._escapes = {bytes((each,)): _SHORT.get(bytes((each,)), rb"\x%02x" % each) for each in free}

    def escape(self, data: bytes | None) -> bytes:
        if data is None:
            return ESCAPED_NULL
        return self._found.sub(lambda found: self._escapes[found[0]], data)

    def is_needless(self, column: BinaryColumn) -> bool:
        """Whether nothing in it is escaped."""
        return self._found.search(column.content) is None


def or_null(data: bytes | None) -> bytes:
    return NULL if data is None else data
