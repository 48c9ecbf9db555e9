"""What stores offer to processors (Java: org.apache.kafka.streams.state), and what they need from their task.

Iterators give pairs in the order of the serialized keys, and see the store as it is while they run. Times are
milliseconds since the epoch, ends of ranges are included. A store belongs to one thread, its task's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

from ottla.client.columns.columns import Columns
from ottla.streams.records import Headers, ValueAndTimestamp, Windowed

K = TypeVar("K")
V = TypeVar("V")
K_contra = TypeVar("K_contra", contravariant=True)
K_co = TypeVar("K_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)
NO_TIMESTAMP = -1

Time = int | datetime
WindowedPairs = Iterator[tuple[Windowed[K], V]]


class RecordContext(NamedTuple):
    """Where the record came from that is being processed, its time and headers."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Headers = ()


class StoreContext(Protocol):
    """A task, as its stores see it."""

    flushing: RecordContext | None
    """While a cache writes an entry through: the context that the entry was written in."""

    @property
    def record_context(self) -> RecordContext | None:
        """`flushing` while there is one, else of the record being processed."""

    @property
    def application_id(self) -> str: ...

    @property
    def task_id(self) -> str: ...

    def log_change(
        self, store: str, key: bytes, value: bytes | None, timestamp: int, headers: Headers = ()
    ) -> None:
        """Send one record to the store's changelog topic (without one, do nothing)."""

    def log_columns(self, store: str, columns: Columns) -> None:
        """Send many, of which partitions and offsets are not looked at."""

    def record_dropped(self, store: str) -> None:
        """A record that a store would have kept is older than its retention."""


FlushListener = Callable[[K, V | None, V | None, int], None]
"""(key, new, old, timestamp of the record that wrote it); old is None where old values were not asked for."""


class StateStore(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def persistent(self) -> bool:
        """Whether it is on disk, so that it may be there after a restart."""

    def flush(self) -> None:
        """Write what the cache holds through, to the changelog and the flush listener too."""

    def commit(self, changelog_offset: int | None) -> None:
        """Make durable what was written, together with the changelog's next offset that it stands for."""

    def committed_offset(self) -> int | None:
        """The changelog's next offset as of the last commit."""

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        """Take in changelog records: key, value, timestamp. They are neither logged nor told to anybody."""

    def close(self) -> None: ...


class CachedStore(Protocol[K_co, V_co]):
    def set_flush_listener(self, listener: FlushListener[K_co, V_co], send_old_values: bool) -> bool:
        """Have the cache tell what it writes through. False where there is no cache: nobody will be told."""


class ReadOnlyKeyValueStore(Protocol[K, V_co]):
    def get(self, key: K) -> V_co | None: ...

    def get_many(self, keys: Sequence[K]) -> Sequence[V_co | None]: ...

    def range(self, start: K | None, end: K | None) -> Iterator[tuple[K, V_co]]: ...

    def reverse_range(self, start: K | None, end: K | None) -> Iterator[tuple[K, V_co]]: ...

    def prefix_scan(self, prefix: bytes) -> Iterator[tuple[K, V_co]]:
        """Whose serialized key starts with these bytes."""

    def all(self) -> Iterator[tuple[K, V_co]]: ...

    def reverse_all(self) -> Iterator[tuple[K, V_co]]: ...

    def approximate_num_entries(self) -> int: ...


class KeyValueStore(StateStore, CachedStore[K, V], ReadOnlyKeyValueStore[K, V], Protocol[K, V]):
    def put(self, key: K, value: V | None) -> None:
        """None deletes."""

    def put_if_absent(self, key: K, value: V | None) -> V | None:
        """The value that was there; the new one is put only if there was none."""

    def put_all(self, entries: Iterable[tuple[K, V | None]]) -> None: ...

    def delete(self, key: K) -> V | None:
        """The value that was there."""


TimestampedKeyValueStore = KeyValueStore[K, ValueAndTimestamp[V]]


VALID_TO_UNDEFINED = -1
NOT_PUT = -(2**63)


@dataclass(frozen=True, slots=True)
class VersionedRecord(Generic[V]):
    """A value, valid from `timestamp` to before `valid_to` (None: it is the newest)."""

    value: V
    timestamp: int
    valid_to: int | None = None


class VersionedKeyValueStore(StateStore, Protocol[K_contra, V]):
    """Every value of a key over its history (KIP-889)."""

    def put(self, key: K_contra, value: V | None, timestamp: int) -> int:
        """Until when it is valid: VALID_TO_UNDEFINED for the newest; NOT_PUT where it is too old."""

    def get(self, key: K_contra) -> VersionedRecord[V] | None: ...

    def get_as_of(self, key: K_contra, timestamp: Time) -> VersionedRecord[V] | None: ...

    def delete(self, key: K_contra, timestamp: int) -> VersionedRecord[V] | None: ...


class ReadOnlyWindowStore(Protocol[K, V_co]):
    def fetch(self, key: K, start: Time) -> V_co | None:
        """The value of the window that starts there."""

    def fetch_range(self, key: K, start: Time, end: Time) -> Iterator[tuple[int, V_co]]:
        """Windows of a key by their starts: (start, value)."""

    def backward_fetch_range(self, key: K, start: Time, end: Time) -> Iterator[tuple[int, V_co]]: ...

    def fetch_keys(
        self, key_from: K | None, key_to: K | None, start: Time, end: Time
    ) -> WindowedPairs[K, V_co]: ...

    def backward_fetch_keys(
        self, key_from: K | None, key_to: K | None, start: Time, end: Time
    ) -> WindowedPairs[K, V_co]: ...

    def fetch_all(self, start: Time, end: Time) -> WindowedPairs[K, V_co]: ...

    def backward_fetch_all(self, start: Time, end: Time) -> WindowedPairs[K, V_co]: ...

    def all(self) -> WindowedPairs[K, V_co]: ...

    def backward_all(self) -> WindowedPairs[K, V_co]: ...


class WindowStore(StateStore, CachedStore[Windowed[K], V], ReadOnlyWindowStore[K, V], Protocol[K, V]):
    """Values by key and window start; those that started longer than the retention ago are gone."""

    @property
    def window_size_ms(self) -> int: ...

    def put(self, key: K, value: V | None, window_start: int) -> None:
        """None deletes, but nothing where the store keeps duplicates (as Java's join windows do)."""

    def fetch_many(self, windows: Sequence[tuple[K, int]]) -> Sequence[V | None]: ...

    def put_many(self, entries: Iterable[tuple[K, V | None, int]]) -> None: ...


TimestampedWindowStore = WindowStore[K, ValueAndTimestamp[V]]


class ReadOnlySessionStore(Protocol[K, V_co]):
    def fetch(self, key: K) -> WindowedPairs[K, V_co]: ...

    def backward_fetch(self, key: K) -> WindowedPairs[K, V_co]: ...

    def fetch_keys(self, key_from: K | None, key_to: K | None) -> WindowedPairs[K, V_co]: ...

    def backward_fetch_keys(self, key_from: K | None, key_to: K | None) -> WindowedPairs[K, V_co]: ...

    def fetch_session(self, key: K, start: Time, end: Time) -> V_co | None: ...

    def find_sessions(self, key: K, earliest_end: Time, latest_start: Time) -> WindowedPairs[K, V_co]:
        """Sessions that end at `earliest_end` or later and start at `latest_start` or earlier."""

    def find_sessions_of_keys(
        self, key_from: K | None, key_to: K | None, earliest_end: Time, latest_start: Time
    ) -> WindowedPairs[K, V_co]: ...

    def find_closed_sessions(self, earliest_end: Time, latest_end: Time) -> WindowedPairs[K, V_co]:
        """Sessions of all keys that end in that range, in the order of their ends (KIP-825)."""


class SessionStore(StateStore, CachedStore[Windowed[K], V], ReadOnlySessionStore[K, V], Protocol[K, V]):
    def put(self, session: Windowed[K], aggregate: V | None) -> None: ...

    def remove(self, session: Windowed[K]) -> None: ...
