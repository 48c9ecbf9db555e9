"""What people type, checked before it reaches Kafka's client.

Kafka's protocol has names in UTF-8, which text with lone surrogates (once Python has read what is none)
cannot be written as, and numbers of so many bits. So commands take the types of this module, never plain
`str` and `int`.
"""

from __future__ import annotations

import math
import os
import re
import time
from datetime import UTC, datetime
from typing import Any

import click

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
ESCAPES = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"0": b"\0", b"\\": b"\\"}

UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

PARTITION = click.IntRange(0, MAX_INT32)
OFFSET = click.IntRange(0, MAX_INT64)
PARTITION_COUNT = click.IntRange(1, 100_000)
REPLICA_COUNT = click.IntRange(1, 10_000)


class TextType(click.ParamType[str]):
    """Text that has a UTF-8 form."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if is_utf8(value) else self.fail("it is not UTF-8", param, ctx)


class NameType(TextType):
    """The name of a topic, a group or what else must not be empty."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value, param, ctx) or self.fail("it is empty", param, ctx)


class PropertyType(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`, as a pair."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, setting = value.partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not name=value", param, ctx)
        return TEXT.convert(name.strip(), param, ctx), TEXT.convert(setting, param, ctx)


class HeaderType(click.ParamType[tuple[str, bytes | None]]):
    """`NAME=VALUE`, whose value may be any bytes; a name without `=` has a null value."""

    name = "header"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bytes | None]:
        if isinstance(value, tuple):
            return value
        name, equals, content = value.partition("=")
        return TEXT.convert(name, param, ctx), os.fsencode(content) if equals else None


class SeparatorType(click.ParamType[bytes]):
    """Bytes between the parts of a line (see `unescape`)."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return unescape(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class BytesType(click.ParamType[bytes]):
    """Any bytes, as they were typed."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:  # noqa: ARG002
        return value if isinstance(value, bytes) else os.fsencode(value)


class SecondsType(click.FloatRange):
    """A time to wait, from 0 to forever (`inf`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        return self.fail("it is no number", param, ctx) if math.isnan(seconds) else seconds


class TimeType(click.ParamType[int]):
    """A time, as milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TEXT = TextType()
NAME = NameType()
PROPERTY = PropertyType()
HEADER = HeaderType()
SEPARATOR = SeparatorType()
BYTES = BytesType()
SECONDS = SecondsType(min=0)
TIME = TimeType()


def is_utf8(text: str) -> bool:
    """Whether text can be written as UTF-8, which lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescape(text: str) -> bytes:
    """The bytes of a separator as it was typed (see `unescape_bytes`)."""
    return unescape_bytes(os.fsencode(text))


def unescape_bytes(data: bytes) -> bytes:
    r"""Bytes in which `\t`, `\n`, `\r`, `\0`, `\\` and `\xNN` stand for one byte each; ValueError for any
    other backslash.
    """

    def escaped(found: re.Match[bytes]) -> bytes:
        digits, letter = found.groups()
        if digits:
            return bytes.fromhex(digits.decode())
        if letter not in ESCAPES:
            shown = os.fsdecode(found[0]) if len(data) > 60 else os.fsdecode(data)
            raise ValueError(rf"{shown!a} has an escape that is none of \t \n \r \0 \\ and \xNN")
        return ESCAPES[letter]

    return re.sub(rb"\\(?:x([0-9a-fA-F]{2})|(.?))", escaped, data, flags=re.DOTALL)


def parse_time(text: str) -> int:
    """Milliseconds since 1970 of `@MILLISECONDS`, a time ago (`-90m`, `-1h`, `-7d`), or ISO 8601, which is
    local time where it names no zone.

    What was before 1970 is 0: no record is older, and below it Kafka's protocol means other things.
    """
    if ago := re.fullmatch(r"-([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)", text):
        return max(int(time.time() * 1000 - float(ago[1]) * UNITS_MS[ago[2]]), 0)
    try:
        if re.fullmatch(r"@[0-9]{1,19}", text) and int(text[1:]) <= MAX_INT64:
            return int(text[1:])
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is neither @MILLISECONDS nor a date and time like 2031-12-24T18:00:00Z,"
            " nor a time ago like -90m"
        ) from error
    return max(round(moment.timestamp() * 1000), 0)
