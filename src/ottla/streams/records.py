"""What moves through a topology, and what stands in its stores."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

__all__ = ["Change", "Headers", "Record", "RecordMetadata", "ValueAndTimestamp", "Window", "Windowed"]

Headers = tuple[tuple[str, bytes | None], ...]
"""Names may repeat; the order is kept."""

K = TypeVar("K")
V = TypeVar("V")
K_co = TypeVar("K_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)


class Record(Generic[K_co, V_co]):
    """A key and a value at a time (milliseconds since 1970), with headers.

    Never changed once it is forwarded: what differs is another record (`with_value` and its like).
    """

    __slots__ = ("headers", "key", "timestamp", "value")

    def __init__(self, key: K_co, value: V_co, timestamp: int, headers: Headers = ()) -> None:
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.headers = headers

    def with_key(self, key: K) -> Record[K, V_co]:
        return Record(key, self.value, self.timestamp, self.headers)

    def with_value(self, value: V) -> Record[K_co, V]:
        return Record(self.key, value, self.timestamp, self.headers)

    def with_timestamp(self, timestamp: int) -> Record[K_co, V_co]:
        return Record(self.key, self.value, timestamp, self.headers)

    def with_headers(self, headers: Headers) -> Record[K_co, V_co]:
        return Record(self.key, self.value, self.timestamp, headers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (self.key, self.value, self.timestamp, self.headers) == (
            other.key,
            other.value,
            other.timestamp,
            other.headers,
        )

    __hash__ = None  # type: ignore[assignment] # values are seldom hashable

    def __repr__(self) -> str:
        headers = f", headers={self.headers!r}" if self.headers else ""
        return f"Record({self.key!r}, {self.value!r}, timestamp={self.timestamp}{headers})"


class RecordMetadata(NamedTuple):
    """Where the record of the input came from that is being processed."""

    topic: str
    partition: int
    offset: int


class Window(NamedTuple):
    """A span of milliseconds: `end` is the first that is outside, or a session's last that is inside."""

    start: int
    end: int


class Windowed(Generic[K_co]):
    """A key in a window: the key of all that is windowed."""

    __slots__ = ("key", "window")

    def __init__(self, key: K_co, window: Window) -> None:
        self.key = key
        self.window = window

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Windowed):
            return NotImplemented
        return self.window == other.window and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash((self.key, self.window))

    def __repr__(self) -> str:
        return f"Windowed({self.key!r}, {self.window.start}, {self.window.end})"


class Change(Generic[V_co]):
    """What a table's key had and has; None where it had, or has, nothing.

    `is_latest` is False where a later value of the key is known already (versioned tables, late records).
    """

    __slots__ = ("is_latest", "new", "old")

    def __init__(self, new: V_co | None, old: V_co | None, is_latest: bool = True) -> None:
        self.new = new
        self.old = old
        self.is_latest = is_latest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        return (self.new, self.old, self.is_latest) == (other.new, other.old, other.is_latest)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Change(new={self.new!r}, old={self.old!r}{'' if self.is_latest else ', is_latest=False'})"


class ValueAndTimestamp(Generic[V_co]):
    """What a table's store holds for a key: the value, and the time of the record that it comes from."""

    __slots__ = ("timestamp", "value")

    def __init__(self, value: V_co, timestamp: int) -> None:
        self.value = value
        self.timestamp = timestamp

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ValueAndTimestamp):
            return NotImplemented
        return self.timestamp == other.timestamp and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ValueAndTimestamp({self.value!r}, {self.timestamp})"
