"""Runs of records that go through a task together, and where they may.

What comes of a run has to be what comes of its records one after the other. Where a node has several children
the first has all of a run before the second has any: that nobody can tell only where what one child reaches
(nodes, stores, topics, functions that are called for what they do) is nothing that another reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns
from ottla.streams.records import Record
from ottla.streams.serdes import Serde
from ottla.streams.state.stores import RecordContext
from ottla.streams.task.input import RawRecord

__all__ = ["Chunk", "Columnar", "InChunks", "Reach", "Updates", "are_apart"]


Updates = tuple[list[bytes], list[bytes | None], list[bytes | None] | None]
"""Keys, new values and old ones of a table's changes, as bytes; None where no change has an old one."""


class Chunk(Protocol):
    """Records of a run, or what was made of some of them, in their order."""

    def __len__(self) -> int: ...
    def rows(self) -> Iterator[tuple[RawRecord, int, Record[Any, Any]]]:
        """Each record, in front of it that of the input that it comes from and the task's stream time at
        that."""

    def pairs(self) -> tuple[list[Any], list[Any]]:
        """The keys, and the values."""

    def keep(self, wanted: list[bool]) -> Chunk: ...
    def slice(self, start: int, stop: int) -> Chunk: ...
    def with_key_objects(self, keys: list[Any]) -> Chunk: ...
    def with_value_objects(self, values: list[Any]) -> Chunk: ...
    def with_pairs(self, pairs: list[tuple[Any, Any]]) -> Chunk: ...
    def changes(self) -> tuple[list[Any], list[Any] | None]:
        """The new and the old values of changes, None where no change has an old one. Raises NotColumnar
        where values are none."""

    def with_changes(self, new: list[Any], old: list[Any] | None) -> Chunk: ...
    def with_new_values(self) -> Chunk:
        """The new values of changes. Raises NotColumnar where values are none."""

    def source(self, row: int) -> tuple[RawRecord, int]:
        """The record of the input that a row comes from, and the task's stream time at it."""

    def contexts(self, rows: Sequence[int]) -> list[RecordContext]:
        """Where some rows come from, with the times and headers that they have by now."""

    def encode_keys(self, topic: str, key: Serde[Any]) -> BinaryColumn:
        """The keys, of windowed ones the keys that are in windows. Raises NotColumnar."""

    def encode_changes(self, topic: str, key: Serde[Any], value: Serde[Any]) -> Updates:
        """Raises NotColumnar where values are no changes, or keys are nothing."""

    def times(self) -> list[int]:
        """In milliseconds."""

    def window_ends(self) -> list[int]:
        """Of windowed keys. Raises NotColumnar where they are not."""

    def encode(self, topic: str, key: Serde[Any], value: Serde[Any]) -> Columns:
        """The records as they are written to a topic. Raises NotColumnar."""


class Columnar(Protocol):
    """Makes chunks. `max_records`: the most that go together; `min_records`: fewer are not worth it."""

    @property
    def max_records(self) -> int: ...
    @property
    def min_records(self) -> int: ...
    def read(
        self, topic: str, columns: Columns, key: Serde[Any], value: Serde[Any], stream_time: int
    ) -> Chunk:
        """Records as their source reads them, by the task's stream time before. Raises NotColumnar where a
        serde cannot read one."""


class InChunks:
    """Marks processors that may have a `process_chunk(chunk)`: Ottla's own."""


Reach = Mapping[tuple[str, str], None]
"""What can be reached from a node: a kind and a name each, in order. ("topic", "") is any topic."""

_ANY_TOPIC = ("topic", "")


def are_apart(children: Iterable[Reach]) -> bool:
    """Whether no two of them reach the same."""
    seen: dict[tuple[str, str], None] = {}
    with_topics = 0
    for reach in children:
        if any(each in seen for each in reach):
            return False
        seen.update(reach)
        with_topics += any(kind == "topic" for kind, _ in reach)
    return _ANY_TOPIC not in seen or with_topics < 2
