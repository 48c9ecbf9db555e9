"""Decoded keys and values, as JSON or, in tables, as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from ottla.cli.connection import CommandError
from ottla.client.columns.arrow import as_column, is_text
from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns
from ottla.client.errors import ClientError
from ottla.client.tables.rows import ArrowRows
from ottla.client.values.framed import FramedDecoder, FramedValues
from ottla.client.values.interface import Decoded
from ottla.client.values.json import JsonValues
from ottla.client.values.registry import Part

__all__ = ["Shown", "Shower", "table_rows"]


class Shown(NamedTuple):
    """Records with JSON for what was encoded; `broken` rows are to be left out."""

    rows: Columns
    broken: frozenset[int]


class Shower:
    """Decodes what is read of each topic. CommandError names the first record that is broken, unless those
    are to be skipped: then `skipped` counts them.

    `quotes`: text is JSON's, too; otherwise it is as it is.
    """

    def __init__(self, formats: Sequence[tuple[Part, FramedValues]], *, skips: bool, quotes: bool) -> None:
        self._formats = formats
        self._skips = skips
        self._quotes = quotes
        self._decoders: dict[tuple[str, Part], FramedDecoder] = {}
        self.skipped = 0

    async def show(self, topic: str, rows: Columns) -> Shown:
        """Waits for the registry in a thread."""
        broken: dict[int, None] = {}
        texts: dict[Part, BinaryColumn] = {"key": rows.key, "value": rows.value}
        for part, values in self._formats:
            decoder = self._decoders.get((topic, part))
            if decoder is None:
                decoder = self._decoders[topic, part] = values.decoder()
            column = texts[part]
            try:
                if decoder.lacks(column, rows.headers, part):
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(None, decoder.prepare, column, rows.headers, part)
                decoded = decoder.decode(column, rows.headers, part)
                texts[part] = self._text(decoded.array)
            except ClientError as error:
                raise CommandError(f"{topic}: {error}") from error
            self._check(topic, part, rows, decoded)
            broken |= dict.fromkeys(decoded.broken)
        self.skipped += len(broken)
        shown = Columns(
            rows.partition,
            rows.offset,
            rows.timestamp,
            rows.timestamp_type,
            texts["key"],
            texts["value"],
            rows.headers,
        )
        return Shown(shown, frozenset(broken))

    def _text(self, array: pa.Array) -> BinaryColumn:
        if is_text(array.type) and not self._quotes:
            return as_column(array)
        return JsonValues().encode(array)

    def _check(self, topic: str, part: Part, rows: Columns, decoded: Decoded) -> None:
        if decoded.broken and not self._skips:
            at = min(decoded.broken)
            where = f"the {part} of {topic}-{rows.partition[at]} at offset {rows.offset[at]}"
            raise CommandError(f"{where}: {decoded.broken[at]} (--skip-broken leaves such records out)")


def table_rows(formats: Sequence[tuple[Part, FramedValues]]) -> ArrowRows:
    """What decodes the rows of tables."""
    held = dict(formats)
    return ArrowRows(held.get("key"), held.get("value"))
