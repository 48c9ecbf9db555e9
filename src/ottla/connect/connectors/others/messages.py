"""What Singer's programs write to one another: a line of JSON for each message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ottla.connect.errors import ConnectError

__all__ = ["Message", "decode", "encode", "parse_object"]

_TOLD: Final = 200


class Message(msgspec.Struct):
    """Any of them; `type` says which of its parts mean something.

    RECORD: stream, record, version, time_extracted. SCHEMA: stream, schema, key_properties. STATE: value.
    ACTIVATE_VERSION: stream, version.
    """

    type: str
    stream: str = ""
    record: dict[str, object] | None = None
    schema: dict[str, object] | None = None
    key_properties: Sequence[str] | None = None
    value: object = None
    version: int | None = None
    time_extracted: str | None = None


_decoder: Final = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def decode(line: bytes, program: str) -> Message:
    """ConnectError for a line that is no message."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused: Exception = error
    try:
        # Python's own writer has NaN and halves of pairs, which are no JSON.
        return msgspec.convert(json.loads(line), Message)
    except (ValueError, RecursionError):
        shown = line[:_TOLD].decode("utf-8", "replace")
        raise ConnectError(f"{program} wrote what is no message of Singer's ({refused}): {shown}") from None


def encode(message: Mapping[str, object]) -> bytes:
    """With the end of its line. Dates and times are written in ISO 8601, bytes in base64. ConnectError."""
    try:
        return _encoder.encode(message) + b"\n"
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ConnectError(f"a message for a target cannot be written: {error}") from error


def parse_object(text: bytes | str) -> dict[str, object]:
    """A JSON object. ValueError."""
    found = msgspec.json.decode(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found
