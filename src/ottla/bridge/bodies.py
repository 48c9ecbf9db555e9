"""What requests bring, typed; read with msgspec, which skips nothing silently. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

import msgspec

from ottla.http.app import Request
from ottla.http.errors import HttpError

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
Digits = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")]
Offset = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class NewConsumer(msgspec.Struct, forbid_unknown_fields=True):
    """Settings as texts are taken, too."""

    name: Name | None = None
    format: str = "binary"
    auto_offset_reset: str | None = msgspec.field(name="auto.offset.reset", default=None)
    enable_auto_commit: bool | str | None = msgspec.field(name="enable.auto.commit", default=None)
    fetch_min_bytes: Number | Digits | None = msgspec.field(name="fetch.min.bytes", default=None)
    request_timeout_ms: Number | Digits | None = msgspec.field(
        name="consumer.request.timeout.ms", default=None
    )
    isolation_level: str | None = msgspec.field(name="isolation.level", default=None)

    def settings(self) -> dict[str, object]:
        """Under Kafka's names, of what was given."""
        named = {
            "auto.offset.reset": self.auto_offset_reset,
            "enable.auto.commit": self.enable_auto_commit,
            "fetch.min.bytes": self.fetch_min_bytes,
            "isolation.level": self.isolation_level,
        }
        return {name: value for name, value in named.items() if value is not None}


class Subscription(msgspec.Struct, forbid_unknown_fields=True):
    topics: list[Name] | None = None
    topic_pattern: Name | None = None


class PartitionRef(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name
    partition: Number


class Partitions(msgspec.Struct, forbid_unknown_fields=True):
    partitions: list[PartitionRef]


class PartitionOffset(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name
    partition: Number
    offset: Offset
    metadata: str = ""


class Offsets(msgspec.Struct, forbid_unknown_fields=True):
    offsets: list[PartitionOffset]


class CreatedTopic(msgspec.Struct, forbid_unknown_fields=True):
    topic_name: Name
    partitions_count: Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)] | None = None
    replication_factor: Annotated[int, msgspec.Meta(ge=1, le=(1 << 15) - 1)] | None = None


T = TypeVar("T")
TOPIC: Final = "[a-zA-Z0-9._-]{1,249}"
_TOPIC: Final = re.compile(TOPIC)
_NOTHING: Final = b"{}"


def body_of(type_: type[T], request: Request, *, may_be_empty: bool = False) -> T:
    """HttpError for a body that is none of `type_`: 400 for what is no JSON, 422 for other fields than it
    has."""
    body = request.body.strip()
    if not body:
        if not may_be_empty:
            raise HttpError(400, "Bad Request: the body is empty")
        body = _NOTHING
    return decoded(body, type_)


def decoded(data: bytes | msgspec.Raw, type_: type[T]) -> T:
    """HttpError, as `body_of`."""
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise HttpError(422, f"Validation error on: body - {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"Bad Request: the body is no JSON: {error}") from None


def flag_of(request: Request, name: str) -> bool:
    """A parameter of the query. HttpError for what is neither true nor false."""
    given = request.query.get(name, ["false"])
    if given not in (["true"], ["false"]):
        raise HttpError(400, f"Parameter error on: {name} - must be true or false")
    return given == ["true"]


def topic_of(name: str) -> str:
    """A topic's name in a path. HttpError for what none can have."""
    if not _TOPIC.fullmatch(name) or name in (".", ".."):
        raise HttpError(422, f"No topic can be named {name[:300]!r}")
    return name


def partition_of(text: str) -> int:
    """A partition's number in a path. HttpError for what is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) >= 1 << 31:
        raise HttpError(422, "Specified partition is not a valid number")
    return int(text)
