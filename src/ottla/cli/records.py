"""Records as text and as JSON lines: what `ottla produce` reads and `ottla consume` prints.

Bytes that are not UTF-8 survive in JSON as lone surrogates (Python's surrogateescape), so that one command
reads back what the other printed; other programs are better served with base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ottla.cli.connection import CommandError

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
            headers = message.headers() or []
            parts.append(b",".join(b"%s=%s" % (name.encode(), or_null(value)) for name, value in headers))
        if self.keys:
            parts.append(or_null(message.key()))
        return self.separator.join([*parts, or_null(message.value())])


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
        "headers": [[name, encode(value, use_base64)] for name, value in message.headers() or []],
    }
    # Surrogates must leave as \uXXXX escapes, for they have no UTF-8.
    return json.dumps(record).encode()


def encode(data: bytes | None, use_base64: bool) -> str | None:
    if data is None:
        return None
    return base64.b64encode(data).decode() if use_base64 else data.decode(errors="surrogateescape")


def decode(text: Any, use_base64: bool, what: str) -> bytes | None:
    """Bytes of a JSON string (or of another JSON value, which stands for its text), None for null."""
    if text is None:
        return None
    if not isinstance(text, str):
        if use_base64:
            raise ValueError(f"{what} is no base64 string")
        return json.dumps(text, ensure_ascii=False).encode()
    if not use_base64:
        return text.encode(errors="surrogateescape")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{what} is no base64 ({error})") from error


def from_json(line: bytes, *, use_base64: bool = False) -> dict[str, Any]:
    """Arguments of Producer.produce() for a line of JSON; ValueError says what is wrong with it."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"no JSON ({error})") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    arguments: dict[str, Any] = {
        "key": decode(record.get("key"), use_base64, "key"),
        "value": decode(record.get("value"), use_base64, "value"),
    }
    for name in ("partition", "timestamp"):
        if (number := record.get(name)) is not None:
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise ValueError(f"{name} is no number from 0")
            arguments[name] = number
    if headers := record.get("headers"):
        arguments["headers"] = _headers(headers, use_base64)
    return arguments


def _headers(headers: Any, use_base64: bool) -> Headers:
    pairs = headers.items() if isinstance(headers, dict) else headers
    if not isinstance(headers, dict | list):
        raise ValueError("headers are neither an object nor a list of pairs")
    found: Headers = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError("a header is no pair of a name and a value")
        found.append((pair[0], decode(pair[1], use_base64, f"header {pair[0]!r}")))
    return found


def parse_headers(options: tuple[str, ...]) -> Headers:
    """`--header NAME=VALUE` options; a name without `=` has a null value."""
    found: Headers = []
    for option in options:
        name, equals, value = option.partition("=")
        found.append((name, value.encode() if equals else None))
    return found


def unescape(text: str) -> bytes:
    r"""A separator as people write it: `\t`, `\n`, `\0` and `\xNN` mean what they mean in Python."""
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode()
    except UnicodeDecodeError as error:
        raise CommandError(f"{text!r} is no separator ({error.reason})") from error
