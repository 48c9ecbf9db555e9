"""Columns as Arrow's record batches, keys and values as they were asked for. Needs the extra `arrow`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.arrow import as_column, as_strings
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.errors import ConfigurationError
from ottla.client.values.broken import settle
from ottla.client.values.framed import FramedDecoder
from ottla.client.values.interface import BrokenValue, DeadLetterTopic, Decoder, Values
from ottla.client.values.registry import Part

DeadLetters = Callable[[DeadLetterTopic, Sequence[BrokenValue]], None]

_Framed = tuple[BinaryColumn, HeadersColumn, Part]
"""What a decoder of framed values looks at."""


class ArrowRows:
    """For one stream: a format that infers its schema does so once. None leaves bytes as they are.

    Rows with broken values are left out, or told in columns `key_error` and `value_error`, as the format's
    `errors` says.
    """

    def __init__(
        self, key: Values | None = None, value: Values | None = None, dead_letters: DeadLetters | None = None
    ) -> None:
        self._formats: list[tuple[Part, Values, Decoder]] = []
        given: dict[Part, Values | None] = {"key": key, "value": value}
        for part, values in given.items():
            if values is None:
                continue
            if isinstance(values.errors, DeadLetterTopic) and dead_letters is None:
                raise ConfigurationError(f"nothing here sends broken values to topic {values.errors.name}")
            self._formats.append((part, values, values.decoder()))
        self._dead_letters = dead_letters

    def lacks(self, columns: Columns) -> bool:
        """Whether a registry has to be asked for schemas of these rows; `prepare` does that, and waits."""
        return any(decoder.lacks(*parts) for decoder, parts in self._framed(columns))

    def prepare(self, columns: Columns) -> None:
        for decoder, parts in self._framed(columns):
            decoder.prepare(*parts)

    def _framed(self, columns: Columns) -> Iterator[tuple[FramedDecoder, _Framed]]:
        for part, _, decoder in self._formats:
            if isinstance(decoder, FramedDecoder):
                yield decoder, (_strings(columns, part), columns.headers, part)

    def __call__(self, topic: str, columns: Columns) -> pa.RecordBatch:
        batch = columns.to_arrow()
        keep: pa.Array | None = None
        for part, values, decoder in self._formats:
            strings = _strings(columns, part)
            if isinstance(decoder, FramedDecoder):
                decoded = decoder.decode(strings, columns.headers, part)
            else:
                decoded = decoder.decode(strings)
            settled = settle(values.errors, decoded, columns, topic, part)
            place = batch.schema.get_field_index(part)
            batch = batch.set_column(place, part, settled.array)
            if settled.reasons is not None:
                batch = batch.append_column(f"{part}_error", settled.reasons)
            if settled.dead_letters and isinstance(values.errors, DeadLetterTopic) and self._dead_letters:
                self._dead_letters(values.errors, settled.dead_letters)
            if settled.keep is not None:
                keep = settled.keep if keep is None else pc.and_(keep, settled.keep)
        return batch if keep is None else batch.filter(keep)


def _strings(columns: Columns, part: Part) -> BinaryColumn:
    return columns.key if part == "key" else columns.value


def as_table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """One after the other. Of types that differ in width the wider is taken, of unknown ones the known."""
    tables = [pa.Table.from_batches([each]) for each in batches]
    return pa.concat_tables(tables, promote_options="permissive")


def take(columns: Columns, places: Sequence[int]) -> Columns:
    """These rows, in this order."""
    indices = pa.array(places, pa.int64())
    headers = columns.headers
    return Columns(
        memoryview(array("i", [columns.partition[each] for each in places])),
        memoryview(array("q", [columns.offset[each] for each in places])),
        memoryview(array("q", [columns.timestamp[each] for each in places])),
        memoryview(array("b", [columns.timestamp_type[each] for each in places])),
        as_column(as_strings(columns.key).take(indices)),
        as_column(as_strings(columns.value).take(indices)),
        HeadersColumn.of([headers[each] for each in places])
        if headers.count
        else HeadersColumn.none(len(places)),
    )
