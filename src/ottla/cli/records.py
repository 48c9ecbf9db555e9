"""Records as text and as JSON lines: what `ottla produce` reads and `ottla consume` prints.

Bytes that are not UTF-8 survive in JSON as lone surrogates (Python's surrogateescape), so that one command
reads back what the other printed; other programs are better served with base64.
"""

from __future__ import annotations

import base64
import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ottla.cli.arguments import MAX_INT32, MAX_INT64, is_utf8

_SURROGATE_ESCAPE = codecs.lookup_error("surrogateescape")

NULL = b"null"  # how an absent key or value stands in text

Headers = list[tuple[str, bytes | None]]


class Message(Protocol):
    """What commands use of confluent_kafka.Message."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Which parts of a record a line shows before its value, each followed by a separator."""

    offsets: bool = False
    timestamps: bool = False
    headers: bool = False
    keys: bool = False
    separator: bytes = b"\t"

    @property
    def is_value_only(self) -> bool:
        return not (self.offsets or self.timestamps or self.headers or self.keys)

    def line(self, message: Message) -> bytes:
        """The record without the end of its line."""
        parts = []
        if self.offsets:
            parts.append(f"{message.topic()}-{message.partition()}:{message.offset()}".encode())
        if self.timestamps:
            parts.append(iso_time(message.timestamp()[1]).encode())
        if self.headers:
            pairs = [(as_bytes(name), or_null(value)) for name, value in headers_of(message)]
            parts.append(b",".join(b"%s=%s" % pair for pair in pairs))
        if self.keys:
            parts.append(or_null(message.key()))
        return self.separator.join([*parts, or_null(message.value())])


def headers_of(message: Message) -> Headers:
    """The headers of a record, names that are not UTF-8 with surrogate escapes.

    confluent-kafka decodes names strictly and goes on when that fails: with the next use of the list the
    process dies. It has no other way to the names, but Python lets us say what strict is to do. A name is
    read up to its first NUL, for librdkafka hands over no more.
    """
    codecs.register_error("strict", _SURROGATE_ESCAPE)
    try:
        return message.headers() or []
    finally:
        codecs.register_error("strict", codecs.strict_errors)


def as_bytes(text: str) -> bytes:
    """Text whose surrogate escapes stand for bytes."""
    return text.encode(errors="surrogateescape")


def or_null(data: bytes | None) -> bytes:
    return NULL if data is None else data


def iso_time(timestamp_ms: int) -> str:
    """A timestamp in UTC, to the millisecond; `-` for none and for what no calendar has."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC) if timestamp_ms >= 0 else None
    except (ValueError, OverflowError, OSError):
        moment = None
    return "-" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(message: Message, *, use_base64: bool = False) -> bytes:
    """The record as one line of JSON, without its end."""
    timestamp_type, timestamp = message.timestamp()
    record = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": timestamp if timestamp_type else None,
        "key": encode(message.key(), use_base64),
        "value": encode(message.value(), use_base64),
        "headers": [[name, encode(value, use_base64)] for name, value in headers_of(message)],
    }
    # Surrogates must leave as \uXXXX escapes, for they have no UTF-8.
    return json.dumps(record).encode()


def encode(data: bytes | None, use_base64: bool) -> str | None:
    if data is None:
        return None
    return base64.b64encode(data).decode() if use_base64 else data.decode(errors="surrogateescape")


def from_json(line: bytes, *, use_base64: bool = False) -> dict[str, Any]:
    """Arguments of Producer.produce() for a line of JSON; ValueError says what is wrong with it.

    A key or value that is no string stands for its JSON, which goes out as it was written: `1.00` stays so.
    """
    text, record = _parse(line)

    def content(value: Any, what: str, *path: str | int) -> bytes | None:
        if value is None:
            return None
        if type(value) is str:
            return _from_base64(value, what) if use_base64 else _from_text(value, what)
        if use_base64:
            raise ValueError(f"{what} is no base64 string")
        return _written(text, path).encode()

    arguments: dict[str, Any] = {name: content(record.get(name), name, name) for name in ("key", "value")}
    for name, lowest, highest in _NUMBERS:
        if (number := record.get(name)) is not None:
            arguments[name] = _integer(number, name, lowest, highest)
    if headers := record.get("headers"):
        arguments["headers"] = [
            (name, content(value, f"header {name!r}", "headers", *path))
            for name, value, path in _header_values(headers)
        ]
    return arguments


class Number(str):
    """A JSON number as it was written; strings are of type `str` itself."""

    __slots__ = ()


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    """The text of a line and its members, numbers as Number."""
    try:
        text = line.decode().removeprefix(_BYTE_ORDER_MARK)
        record = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON ({error.msg} at character {error.pos + 1})") from error
    except UnicodeDecodeError as error:
        raise ValueError("no JSON (it is not UTF-8)") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return text, record


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"no JSON ({name} is no number there)")


_BYTE_ORDER_MARK = "\ufeff"
_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
)
_SPACE = re.compile(r"[ \t\n\r]*")

# What librdkafka can be told: it takes a timestamp of 0 for none and puts the time of sending.
_NUMBERS = (("partition", 0, MAX_INT32), ("timestamp", 1, MAX_INT64))


def _integer(value: Any, name: str, lowest: int, highest: int) -> int:
    if isinstance(value, Number) and re.fullmatch("[0-9]{1,19}", value) and lowest <= int(value) <= highest:
        return int(value)
    raise ValueError(f"{name} is no number from {lowest} to {highest}")


def _from_text(text: str, what: str) -> bytes:
    try:
        return as_bytes(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} has a lone surrogate that stands for no byte") from error


def _from_base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{what} is no base64 ({error})") from error


def _header_values(headers: Any) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
    """Names, values, and where in the headers a value is."""
    places: Iterable[tuple[Any, tuple[str | int, ...]]]
    if isinstance(headers, dict):
        places = ((member, (member[0],)) for member in headers.items())
    elif isinstance(headers, list):
        places = ((pair, (position, 1)) for position, pair in enumerate(headers))
    else:
        raise ValueError("headers are neither an object nor a list of pairs")
    for pair, path in places:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise ValueError("a header is no pair of a name and a value")
        name, value = pair
        if not is_utf8(name):
            raise ValueError(f"header name {name!a} is not UTF-8")
        if "\0" in name:
            raise ValueError(f"header name {name!a} has a NUL, where the client would end it")
        yield name, value, path


def _written(text: str, path: Iterable[str | int]) -> str:
    """The text of a value in valid JSON, found by the names of members and the positions in arrays."""
    for step in path:
        text = next(part for place, part in _parts(text) if place == step)
    return text


def _parts(text: str) -> Iterator[tuple[str | int, str]]:
    """The members of an object by name, or the elements of an array by position, as they were written."""
    at = _past_space(text, 0)
    is_object = text[at] == "{"
    at = _past_space(text, at + 1)
    for position in itertools.count():
        place: str | int = position
        if is_object:
            place, at = _DECODER.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)  # the colon, and what is around it
        _, end = _DECODER.raw_decode(text, at)
        yield place, text[at:end]
        at = _past_space(text, _past_space(text, end) + 1)  # the comma


def _past_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    assert found is not None
    return found.end()
