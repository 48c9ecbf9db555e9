"""The form of events: before, after, source, op, times, transaction. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from ottla.cdc.semantic import enumeration
from ottla.connect.data import (
    INT64,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    STRING,
    Schema,
    Struct,
    array_of,
    struct_of,
)

__all__ = [
    "DEBEZIUM_VERSION",
    "SNAPSHOT_STATES",
    "TRANSACTION_BLOCK",
    "TRANSACTION_KEY",
    "TRANSACTION_VALUE",
    "Envelopes",
    "Times",
    "common_source",
    "name_adjustment",
]

DEBEZIUM_VERSION: Final = "3.4.3.Final"
"""Whose events these are like, as `source.version` says it"""

SNAPSHOT_STATES: Final = (
    "true", "first", "first_in_data_collection", "last_in_data_collection", "last", "false", "incremental",
)  # fmt: skip

TRANSACTION_BLOCK: Final = struct_of(
    {"id": STRING, "total_order": INT64, "data_collection_order": INT64},
    name="event.block",
    version=1,
    optional=True,
)
_COLLECTION: Final = struct_of(
    {"data_collection": STRING, "event_count": INT64}, name="event.collection", version=1, optional=True
)
TRANSACTION_KEY: Final = struct_of(
    {"id": STRING}, name="io.debezium.connector.common.TransactionMetadataKey", version=1
)
TRANSACTION_VALUE: Final = struct_of(
    {
        "status": STRING,
        "id": STRING,
        "event_count": OPTIONAL_INT64,
        "data_collections": array_of(_COLLECTION, optional=True),
        "ts_ms": INT64,
    },
    name="io.debezium.connector.common.TransactionMetadataValue",
    version=1,
)


def collection(name: str, count: int) -> Struct:
    """How many events of one table a transaction has."""
    made = Struct(_COLLECTION)
    made.values[:] = name, count
    return made


def common_source(name: str, more: dict[str, Schema]) -> Schema:
    """The `source` of events: what all databases' say, then one's own."""
    snapshot = enumeration(SNAPSHOT_STATES).replace(optional=True, default="false")
    return struct_of(
        {
            "version": STRING,
            "connector": STRING,
            "name": STRING,
            "ts_ms": INT64,
            "snapshot": snapshot,
            "db": STRING,
            "sequence": OPTIONAL_STRING,
            "ts_us": OPTIONAL_INT64,
            "ts_ns": OPTIONAL_INT64,
            **more,
        },
        name=name,
        version=1,
    )


class Times(Protocol):
    """Now, in nanoseconds since the epoch."""

    def __call__(self) -> int: ...


_NOT_AVRO: Final = re.compile(r"[^A-Za-z0-9_]")
_NOT_IN_TOPICS: Final = re.compile(r"[^A-Za-z0-9._-]")


def name_adjustment(mode: str) -> Callable[[str], str]:
    """`schema.name.adjustment.mode` and `field.name.adjustment.mode`: none, avro, avro_unicode."""
    if mode == "none":
        return lambda name: name

    def replacement(found: re.Match[str]) -> str:
        if mode == "avro":
            return "_"
        return f"_u{ord(found[0]):04x}"

    def part(name: str) -> str:
        changed = _NOT_AVRO.sub(replacement, name)
        return f"_{changed}" if changed[:1].isdigit() else changed

    return lambda name: ".".join(part(each) for each in name.split("."))


class Envelopes:
    """Names of topics and schemas, and the schemas of envelopes."""

    def __init__(
        self,
        prefix: str,
        delimiter: str,
        source: Schema,
        adjust_schema: Callable[[str], str],
        adjust_field: Callable[[str], str],
    ) -> None:
        self.prefix: Final = prefix
        self.delimiter: Final = delimiter
        self.source: Final = source
        self._adjust_schema = adjust_schema
        self.adjust_field = adjust_field

    def topic(self, parts: tuple[str, ...]) -> str:
        """Of a table."""
        return _NOT_IN_TOPICS.sub("_", self.delimiter.join((self.prefix, *parts)))

    def schema_name(self, parts: tuple[str, ...]) -> str:
        """What schemas of the table are called by, as its topic is."""
        return self._adjust_schema(self.topic(parts))

    def schema(self, name: str, row: Schema) -> Schema:
        return struct_of(
            {
                "before": row,
                "after": row,
                "source": self.source,
                "transaction": TRANSACTION_BLOCK,
                "op": STRING,
                "ts_ms": OPTIONAL_INT64,
                "ts_us": OPTIONAL_INT64,
                "ts_ns": OPTIONAL_INT64,
            },
            name=name,
            version=2,
        )
