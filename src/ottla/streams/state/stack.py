"""What all stores have in common: bytes, changelog and cache, one upon the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from ottla.client.columns.columns import Columns
from ottla.streams.errors import SerializationError
from ottla.streams.serdes.serde import Serde
from ottla.streams.state.cache import CacheBudget, CachedBytes, LoggedBytes
from ottla.streams.state.ordered_bytes import MemoryBytes, OrderedBytes
from ottla.streams.state.stores import NO_TIMESTAMP, FlushListener, RecordContext, StoreContext
from ottla.streams.state.values import TimestampedSerde

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
Latest = Sequence[tuple[bytes, bytes | None, RecordContext | None]]
"""Keys, values, and what wrote them."""
Kind = Literal["default", "memory", "lmdb", "rocksdb"]


@dataclass(frozen=True)
class StoreOptions:
    """What every kind of store is asked for by."""

    kind: Kind = "default"
    """Where its bytes are; `default` is what the application says."""
    caching: bool = True
    logging: bool = True
    topic_config: dict[str, str] = field(default_factory=dict)
    """Of the changelog topic, over what follows from the store."""


class StoreEnvironment(Protocol):
    """What an application gives to its tasks' stores."""

    @property
    def cache(self) -> CacheBudget | None:
        """Of the thread; None where nothing is to be cached."""

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:
        """Raises StateStoreError where they are locked, torn, or of a newer format."""


class InMemory:
    """All in memory, whatever kind is asked for: for tests, and where nothing is to be kept."""

    def __init__(self, cache_max_bytes: int = 0) -> None:
        self.cache = CacheBudget(cache_max_bytes) if cache_max_bytes else None

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:  # noqa: ARG002
        return MemoryBytes()


class Stack(Generic[K, V]):
    """A store without its meaning. What is above writes to `top`; a restore goes to `base`."""

    def __init__(
        self,
        name: str,
        key: Serde[K],
        value: Serde[V],
        options: StoreOptions,
        context: StoreContext,
        environment: StoreEnvironment,
    ) -> None:
        self.name = name
        self._key = key
        self._value = value
        self._is_logged = options.logging
        self.context = context
        self.topic = f"{context.application_id}-{name}-changelog"
        """Given to serdes, whether there is such a topic or not (as in Java)."""
        self.base = environment.open_bytes(context.task_id, name, options.kind)
        self.top: OrderedBytes = self.base
        self.cached: CachedBytes | None = None
        if options.logging:
            self.top = LoggedBytes(self.top, self._log)
        if options.caching and environment.cache is not None:
            self.top = self.cached = CachedBytes(self.top, environment.cache, context)

    @property
    def persistent(self) -> bool:
        return self.base.persistent

    @property
    def key_serde(self) -> Serde[K]:
        return self._key

    @property
    def value_serde(self) -> Serde[Any]:
        """Of the values themselves, whatever is kept with them."""
        serde: Serde[Any] = self._value
        return serde.inner if isinstance(serde, TimestampedSerde) else serde

    @property
    def is_cached(self) -> bool:
        return self.cached is not None

    def flush(self) -> None:
        if self.cached is not None:
            self.cached.flush()

    def commit(self, changelog_offset: int | None) -> None:
        self.base.commit(changelog_offset)

    def committed_offset(self) -> int | None:
        return self.base.committed_offset()

    def close(self) -> None:
        self.top.close()

    def _base_to_restore(self) -> OrderedBytes:
        """`base`, of which the cache keeps nothing: a query may have read what a restore changes."""
        if self.cached is not None:
            self.cached.drop_clean()
        return self.base

    def _put_together(self, latest: Latest, log: Callable[[], Columns]) -> None:
        """Put values of different keys, the last that each has been given; without a cache `log` has all."""
        if self.cached is not None:
            self.cached.put_in_contexts(latest)
            return
        logged = log() if self._is_logged else None  # which may fail: then nothing is put
        self.base.put_many((key, value) for key, value, _ in latest)
        if logged is not None:
            self.context.log_columns(self.name, logged)

    def write_through(self, entries: Iterable[tuple[bytes, bytes | None]], log: Columns) -> None:
        """Put what a cache had, of which `log` goes to the changelog."""
        self.base.put_many(entries)
        if self._is_logged:
            self.context.log_columns(self.name, log)

    def _log(self, key: bytes, value: bytes | None) -> None:
        """Send one change, of keys and values as they lie in the bytes, to the changelog in Java's form."""
        raise NotImplementedError

    def _tell(
        self, listener: FlushListener[T, V], key_of: Callable[[bytes], T], send_old_values: bool
    ) -> bool:
        """`set_flush_listener` of a store that tells of keys as `key_of` reads them off the bytes."""
        if self.cached is None:
            return False

        def flushed(key: bytes, new: bytes | None, old: bytes | None, context: RecordContext | None) -> None:
            timestamp = self._timestamp() if context is None else context.timestamp
            listener(key_of(key), self._value_of(new), self._value_of(old), timestamp)

        self.cached.set_listener(flushed, send_old_values)
        return True

    def _timestamp(self) -> int:
        context = self.context.record_context
        return NO_TIMESTAMP if context is None else context.timestamp

    def _bytes_of(self, key: K) -> bytes:
        data = self._key.serialize(self.topic, key)
        if data is None:
            raise SerializationError(f"the store {self.name} has no null keys")
        return data

    def _key_of(self, data: bytes) -> K:
        key = self._key.deserialize(self.topic, data)
        if key is None:
            raise SerializationError(f"the store {self.name} has a key that its serde reads as null")
        return key

    def _value_of(self, data: bytes | None) -> V | None:
        return self._value.deserialize(self.topic, data)


def peeked(store: object) -> AbstractContextManager[None]:
    """While a store, whatever kind it is, is read from outside of its task: its cache stays as it is."""
    cached = store.cached if isinstance(store, Stack) else None
    return nullcontext() if cached is None else cached.peeked()


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with `prefix`; None where there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        if prefix[at] < 0xFF:
            return prefix[:at] + bytes([prefix[at] + 1])
    return None
