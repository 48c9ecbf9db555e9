"""A task and bytes of every kind, for tests of stores."""

from __future__ import annotations

from ottla.client.columns.columns import Columns
from ottla.streams.state.cache import CacheBudget
from ottla.streams.state.ordered_bytes import MemoryBytes, OrderedBytes
from ottla.streams.state.stack import Kind
from ottla.streams.state.stores import RecordContext

Change = tuple[bytes, bytes | None, int]


class FakeTask:
    """What a store sees of its task; keeps what went to each changelog."""

    application_id = "app"
    task_id = "0_1"

    def __init__(self) -> None:
        self.flushing: RecordContext | None = None
        self.current: RecordContext | None = None
        self.changes: list[Change] = []
        self.dropped = 0

    @property
    def record_context(self) -> RecordContext | None:
        return self.flushing or self.current

    def at(self, timestamp: int) -> None:
        self.current = RecordContext("in", 0, 0, timestamp)

    def log_change(self, store: str, key: bytes, value: bytes | None, timestamp: int) -> None:
        self.changes.append((key, value, timestamp))

    def log_columns(self, store: str, columns: Columns) -> None:
        for each in columns.records():
            assert each.key is not None
            self.log_change(store, each.key, each.value, each.timestamp)

    def record_dropped(self, store: str) -> None:
        self.dropped += 1


class Environment:
    """Opens bytes of one kind, kept so that a store may be opened again."""

    def __init__(self, kept: OrderedBytes | None = None, cache_max_bytes: int = 0) -> None:
        self.cache = CacheBudget(cache_max_bytes) if cache_max_bytes else None
        self.kept = kept or MemoryBytes()

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:
        return self.kept
