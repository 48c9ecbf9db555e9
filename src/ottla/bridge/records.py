"""Records as they stand in HTTP's bodies, in the three formats. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from ottla.bridge.bodies import Number, decoded
from ottla.bridge.media import Format
from ottla.client.columns.columns import Record
from ottla.http.errors import HttpError

_Raw = msgspec.Raw
_NULL: Final = b"null"
MAX_RECORDS: Final = 100_000
"""Of one request: tiny ones cost far more than their bytes"""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: bytes | None = None


class _Sent(msgspec.Struct, forbid_unknown_fields=True):
    """Key and value are read by their format, so that it can be told apart what is wrong with them."""

    value: _Raw
    key: _Raw = _Raw(_NULL)
    partition: Number | None = None
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    headers: list[_Header] = []


class _SentList(msgspec.Struct, forbid_unknown_fields=True):
    records: Annotated[list[_Sent], msgspec.Meta(max_length=MAX_RECORDS)]


class Outgoing(NamedTuple):
    """A record to be sent; the client's own names."""

    key: bytes | None
    value: bytes | None
    partition: int | None
    timestamp: int | None
    headers: tuple[tuple[str, bytes | None], ...]


def outgoing(format_: Format, body: bytes, partition: int | None) -> list[Outgoing]:
    """The records of a request to a topic, or to one `partition` of it. HttpError: 400 for what is no JSON,
    422 for what is no list of records in this format."""
    try:
        compact = msgspec.json.format(body, indent=-1)  # values of JSON are then without spaces, too
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpError(400, f"Bad Request: the body is no JSON: {error}") from None
    bytes_of = _READERS[format_]
    found = []
    for number, each in enumerate(decoded(compact, _SentList).records):
        if partition is not None and each.partition is not None:
            raise HttpError(422, "Partition specified in body and in request path")
        try:
            key, value = bytes_of(each.key, "key"), bytes_of(each.value, "value")
        except ValueError as error:
            raise HttpError(422, f"records[{number}]: {error}") from None
        headers = tuple((header.key, header.value) for header in each.headers)
        found.append(
            Outgoing(key, value, each.partition if partition is None else partition, each.timestamp, headers)
        )
    return found


def _json(raw: _Raw, _what: str) -> bytes | None:
    data = bytes(raw)
    return None if data == _NULL else data


def _text(raw: _Raw, what: str) -> bytes | None:
    try:
        text = msgspec.json.decode(raw, type=str | None)
    except msgspec.ValidationError:
        raise ValueError(f"Because the embedded format is 'text', the {what} must be a string") from None
    return None if text is None else text.encode()


def _binary(raw: _Raw, what: str) -> bytes | None:
    try:
        text = msgspec.json.decode(raw, type=str | None)
        return None if text is None else base64.b64decode(text, validate=True)
    except (msgspec.ValidationError, binascii.Error, ValueError):
        raise ValueError(f"Because the embedded format is 'binary', the {what} must be Base64") from None


_READERS: Final = {Format.JSON: _json, Format.TEXT: _text, Format.BINARY: _binary}


class _Received(msgspec.Struct, omit_defaults=True):
    topic: str
    key: Any
    value: Any
    partition: int
    offset: int
    timestamp: int
    headers: list[dict[str, str | None]] = []


_encode: Final = msgspec.json.Encoder().encode


class NotJsonError(ValueError):
    """A key or value that the consumer's format cannot show."""

    def __init__(self, record: Record, what: str) -> None:
        super().__init__(
            f"The {what} of the record at offset {record.offset} of {record.topic}-{record.partition} is no "
            "JSON: read it with another format, or seek behind it"
        )


def received(format_: Format, records: Iterable[Record], max_bytes: int) -> tuple[bytes, Record | None]:
    """A JSON array of as many records as `max_bytes` hold, and the first that has no room in it. NotJsonError
    for one that JSON cannot show, where no record stands before it; else it is the first without room."""
    parts: list[bytes] = []
    size = 2
    rest: Record | None = None
    for each in records:
        try:
            part = _shown(format_, each)
        except NotJsonError:
            if not parts:
                raise
            rest = each
            break
        size += len(part) + 1
        if size > max_bytes:
            rest = each
            break
        parts.append(part)
    return b"[" + b",".join(parts) + b"]", rest


def _shown(format_: Format, record: Record) -> bytes:
    headers = [
        {
            "key": name.encode(errors="surrogateescape").decode(errors="replace"),
            "value": None if value is None else base64.b64encode(value).decode(),
        }
        for name, value in record.headers
    ]
    key, value = record.key, record.value
    shown_key: Any = key
    shown_value: Any = value
    if format_ is Format.TEXT:
        shown_key = None if key is None else key.decode(errors="replace")
        shown_value = None if value is None else value.decode(errors="replace")
    elif format_ is Format.JSON:
        shown_key, shown_value = _checked(record, "key", key), _checked(record, "value", value)
    row = _Received(
        record.topic, shown_key, shown_value, record.partition, record.offset, record.timestamp, headers
    )
    return _encode(row)


def _checked(record: Record, what: str, data: bytes | None) -> _Raw | None:
    if data is None:
        return None
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJsonError(record, what) from None
    return _Raw(data)
