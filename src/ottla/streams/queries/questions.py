"""What stores are asked across instances, and the rows that they answer, as JSON.

Keys and values are what the store's serdes make of them, in base64: both sides have the same topology.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from ottla.streams.errors import SerializationError
from ottla.streams.queries.errors import QueryError
from ottla.streams.records import ValueAndTimestamp, Window, Windowed
from ottla.streams.serdes.serde import Serde
from ottla.streams.state.stack import peeked
from ottla.streams.state.stores import VersionedRecord
from ottla.streams.windows import instant


@runtime_checkable
class Keyed(Protocol):
    """A store of a topology, as far as questions need it."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> Serde[Any]: ...
    @property
    def value(self) -> Serde[Any]: ...


class Kind(NamedTuple):
    """A question: the method of the store, what it is given (`key` or `time`), what it answers."""

    method: str
    arguments: tuple[str, ...]
    answer: str

    @property
    def is_of_one_key(self) -> bool:
        return self.arguments[:1] == ("key",) and "key" not in self.arguments[1:]


MAX_ROWS: Final = 100_000
"""Of one partition in an answer: while they are read, the task stands still."""
_MAX_BYTES: Final = 1 << 27
"""Of an answer's keys and values, as they are written."""
KINDS: Final[Mapping[str, Kind]] = {
    "get": Kind("get", ("key",), "value"),
    "range": Kind("range", ("key", "key"), "pairs"),
    "reverse_range": Kind("reverse_range", ("key", "key"), "pairs"),
    "all": Kind("all", (), "pairs"),
    "window": Kind("fetch", ("key", "time"), "value"),
    "windows": Kind("fetch_range", ("key", "time", "time"), "times"),
    "windows_of_keys": Kind("fetch_keys", ("key", "key", "time", "time"), "pairs"),
    "all_windows": Kind("fetch_all", ("time", "time"), "pairs"),
    "sessions": Kind("fetch", ("key",), "pairs"),
    "sessions_between": Kind("find_sessions", ("key", "time", "time"), "pairs"),
}
Row = Sequence[Any]
"""Key, start and end of a window, value, timestamp: each null where there is none."""


@dataclass(frozen=True)
class Question:
    """To a store. `arguments` are keys and times in milliseconds, as its kind says."""

    store: str
    kind: str
    arguments: tuple[Any, ...]
    partitions: tuple[int, ...] = ()
    max_lag: int | None = None
    """Who only follows the store may answer, too, where it lacks no more records than this (KIP-535)."""

    def ask(self, store: Any) -> Any:
        """What one partition's store answers: a value, or a list. QueryError for another kind of store."""
        kind = KINDS[self.kind]
        method = getattr(store, kind.method, None)
        if method is None:
            raise QueryError(f"the store {self.store} has no {kind.method}: it is another kind of store")
        with peeked(store):
            found = method(*self.arguments)
            if isinstance(found, VersionedRecord):
                raise QueryError(f"the store {self.store} is versioned: those are asked by app.store() alone")
            if kind.answer == "value":
                return found
            rows = list(islice(found, MAX_ROWS + 1))
        if len(rows) > MAX_ROWS:
            raise QueryError(
                f"the store {self.store} has more than {MAX_ROWS} rows of that in one partition: ask for less"
            )
        return rows


def question(store: Keyed, kind: str, *arguments: Any) -> Question:
    """With the times of `arguments` in milliseconds."""
    named = KINDS[kind].arguments
    return Question(
        store.name,
        kind,
        tuple(instant(each) if what == "time" else each for what, each in zip(named, arguments, strict=True)),
    )


def encode_question(asked: Question, store: Keyed) -> dict[str, Any]:
    named = KINDS[asked.kind].arguments
    return {
        "store": asked.store,
        "kind": asked.kind,
        "arguments": [
            _text(key_bytes(store, each)) if what == "key" else each
            for what, each in zip(named, asked.arguments, strict=True)
        ],
        "partitions": list(asked.partitions),
        "max_lag": asked.max_lag,
    }


def decode_question(data: object, store_of: Callable[[str], Keyed | None]) -> Question:
    """Raises QueryError for what is none, or of a store that is not there."""
    match data:
        case {
            "store": str(name),
            "kind": str(kind),
            "arguments": list(arguments),
            "partitions": list(partitions),
            "max_lag": int() | None as max_lag,
        } if kind in KINDS and len(arguments) == len(KINDS[kind].arguments) and _are_numbers(partitions):
            store = store_of(name)
        case _:
            raise QueryError("this is no question to a store")
    if store is None:
        raise QueryError(f"there is no store {name!r}")
    decoded: list[Any] = []
    for what, each in zip(KINDS[kind].arguments, arguments, strict=True):
        if what == "time":
            if not _are_numbers([each]):
                raise QueryError("a time is a number of milliseconds")
            decoded.append(each)
        else:
            decoded.append(_key_of(store, _bytes(each)))
    return Question(name, kind, tuple(decoded), tuple(partitions), max_lag)


def encode_answers(asked: Question, found: Mapping[int, Any], store: Keyed) -> dict[int, list[Row]]:
    """The rows of each partition. QueryError where they are too much for one answer."""
    made: dict[int, list[Row]] = {}
    size = 0
    for number, answer in found.items():
        rows = made[number] = []
        for row in encode_answer(asked, answer, store):
            size += sum(len(each) for each in row if isinstance(each, str))
            if size > _MAX_BYTES:
                raise QueryError(
                    f"the store {asked.store} answers with more than {_MAX_BYTES} bytes: ask for less"
                )
            rows.append(row)
    return made


def encode_answer(asked: Question, answer: Any, store: Keyed) -> Iterator[Row]:
    """A row for each value."""
    match KINDS[asked.kind].answer:
        case "value":
            if answer is not None:
                yield _row(store, None, answer)
        case "times":
            for start, value in answer:
                yield _row(store, None, value, start)
        case _:
            for key, value in answer:
                yield _row(store, key, value)


def decode_answer(asked: Question, rows: Iterable[Row], store: Keyed) -> Iterator[Any]:
    """What the store would have given: a value, or pairs of key or start and value. QueryError."""
    answer = KINDS[asked.kind].answer
    for row in rows:
        try:
            key, start, end, value, timestamp = row
        except (TypeError, ValueError):
            raise QueryError("an instance answers what is no row of a store") from None
        found = store.value.deserialize("", _bytes(value))
        if timestamp is not None:
            found = ValueAndTimestamp(found, timestamp)
        if answer == "value":
            yield found
        elif answer == "times":
            yield start, found
        else:
            bare = _key_of(store, _bytes(key))
            yield (bare if start is None else Windowed(bare, Window(start, end))), found


def key_bytes(store: Keyed, key: Any) -> bytes | None:
    """None where a range is open. SerializationError."""
    return None if key is None else store.key.serialize("", key)


def _row(store: Keyed, key: Any, value: Any, start: int | None = None) -> Row:
    end = timestamp = None
    if isinstance(key, Windowed):
        start, end, key = key.window.start, key.window.end, key.key
    if isinstance(value, ValueAndTimestamp):
        value, timestamp = value.value, value.timestamp
    return _text(key_bytes(store, key)), start, end, _text(store.value.serialize("", value)), timestamp


def _key_of(store: Keyed, data: bytes | None) -> Any:
    try:
        return None if data is None else store.key.deserialize("", data)
    except SerializationError as error:
        raise QueryError(f"the store {store.name} has other keys: {error}") from error


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: object) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise QueryError("keys and values are base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise QueryError("keys and values are base64") from None


def _are_numbers(values: Iterable[object]) -> bool:
    return all(isinstance(each, int) and not isinstance(each, bool) for each in values)
