"""Which records are wanted."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION


@dataclass(frozen=True, slots=True)
class Filter:
    """Records that have one of the `keys`, whose values contain each of these, and match the `pattern`, and
    that have each of the `headers`: by name, or by name and value.
    """

    keys: Collection[bytes] = ()
    contained: Sequence[bytes] = ()
    pattern: re.Pattern[bytes] | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()

    @property
    def takes_all(self) -> bool:
        return not (self.keys or self.contained or self.headers) and self.pattern is None

    @property
    def looks_inside(self) -> bool:
        """At keys or values."""
        return bool(self.keys or self.contained) or self.pattern is not None

    def places(self, rows: Columns) -> Sequence[int]:
        """The rows that are wanted."""
        places: Sequence[int] = range(len(rows))
        if self.takes_all or self._is_seen_to_have_none(rows.value):
            return places if self.takes_all else ()
        if self.keys:
            places = [at for at, key in enumerate(IMPLEMENTATION.strings(rows.key.raw)) if key in self.keys]
        if places and (self.contained or self.pattern is not None):
            values = IMPLEMENTATION.strings(rows.value.raw)
            for part in self.contained:
                places = [at for at in places if part in (values[at] or b"")]
            if self.pattern is not None:
                search = self.pattern.search
                places = [at for at in places if (value := values[at]) is not None and search(value)]
        for name, value in self.headers:
            places = [at for at in places if _has(rows.headers[at], name, value)]
        return places

    def _is_seen_to_have_none(self, values: BinaryColumn) -> bool:
        """Whether all of the bytes together lack a part."""
        data = bytes(values.content) if self.contained else b""
        return any(part not in data for part in self.contained)


def _has(headers: Sequence[tuple[bytes, bytes | None]], name: bytes, value: bytes | None) -> bool:
    return any(each == name and (value is None or held == value) for each, held in headers)


def take(rows: Columns, places: Sequence[int]) -> Columns:
    """The rows at `places`, which ascend."""
    if len(places) == len(rows):
        return rows
    if not places or places[-1] - places[0] == len(places) - 1:
        return rows[places[0] : places[-1] + 1] if places else rows[:0]
    wanted = bytearray(len(rows))
    for place in places:
        wanted[place] = 1
    no_headers = not rows.headers.count
    return Columns(
        memoryview(array("i", compress(rows.partition, wanted))),
        memoryview(array("q", compress(rows.offset, wanted))),
        memoryview(array("q", compress(rows.timestamp, wanted))),
        memoryview(array("b", compress(rows.timestamp_type, wanted))),
        BinaryColumn.of(list(compress(IMPLEMENTATION.strings(rows.key.raw), wanted))),
        BinaryColumn.of(list(compress(IMPLEMENTATION.strings(rows.value.raw), wanted))),
        HeadersColumn.none(len(places))
        if no_headers
        else HeadersColumn.of([rows.headers[at] for at in places]),
    )
