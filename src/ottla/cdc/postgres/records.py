"""Records as they go into topics: envelopes with their source, transactions' metadata, heartbeats. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.cdc.envelope import (
    DEBEZIUM_VERSION,
    TRANSACTION_BLOCK,
    TRANSACTION_KEY,
    TRANSACTION_VALUE,
    Envelopes,
    collection,
    common_source,
)
from ottla.cdc.postgres.offsets import Position
from ottla.cdc.tables import Shape
from ottla.connect.data import (
    INT64,
    OPTIONAL_BYTES,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
    STRING,
    Struct,
    struct_of,
)
from ottla.connect.records import ConnectHeaders, Header, SourceRecord

__all__ = ["SOURCE", "Records"]

SOURCE: Final = common_source(
    "io.debezium.connector.postgresql.Source",
    {
        "schema": STRING,
        "table": STRING,
        "txId": OPTIONAL_INT64,
        "lsn": OPTIONAL_INT64,
        "xmin": OPTIONAL_INT64,
    },
)
_CONNECTOR: Final = "postgresql"
_MESSAGE: Final = struct_of(
    {"prefix": OPTIONAL_STRING, "content": OPTIONAL_BYTES},
    name="io.debezium.connector.postgresql.Message",
    version=1,
)
_MESSAGE_KEY: Final = struct_of(
    {"prefix": OPTIONAL_STRING}, name="io.debezium.connector.postgresql.MessageKey", version=1
)
_MESSAGE_VALUE: Final = struct_of(
    {
        "op": STRING,
        "ts_ms": OPTIONAL_INT64,
        "source": SOURCE,
        "transaction": TRANSACTION_BLOCK,
        "message": _MESSAGE,
    },
    name="io.debezium.connector.postgresql.MessageValue",
    version=1,
)
_SERVER: Final = struct_of(
    {"serverName": STRING}, name="io.debezium.connector.common.ServerNameKey", version=1
)
_HEARTBEAT: Final = struct_of({"ts_ms": INT64}, name="io.debezium.connector.common.Heartbeat", version=1)

Order = tuple[str, int, int]
"""A transaction, and an event's number in it and among those of its table"""


class Records:
    """Of one connector. `context` are the headers that all its records have."""

    def __init__(
        self,
        envelopes: Envelopes,
        database: str,
        context: Sequence[Header],
        transaction_topic: str,
        heartbeat_topic: str,
    ) -> None:
        self._envelopes = envelopes
        self._name = envelopes.prefix
        self._database = database
        self._context = context
        self._transaction_topic = transaction_topic
        self._heartbeat_topic = heartbeat_topic
        self._message_topic = envelopes.topic(("message",))
        self.partition: Final = {"server": envelopes.prefix}

    def event(
        self,
        shape: Shape,
        operation: str,
        key: Struct | None,
        before: Struct | None,
        after: Struct | None,
        at: Position,
        now_ns: int,
        order: Order | None = None,
        headers: Sequence[Header] = (),
        snapshot: str = "false",
    ) -> SourceRecord:
        value = Struct(shape.envelope_schema)
        table = shape.table
        value.values[:] = (
            before,
            after,
            self._source(at, snapshot, table.schema, table.name),
            None if order is None else _block(order),
            operation,
            now_ns // 1_000_000,
            now_ns // 1_000,
            now_ns,
        )
        return SourceRecord(
            self.partition,
            at.offset(),
            shape.topic,
            key_schema=shape.key_schema if key is not None else None,
            key=key,
            value_schema=shape.envelope_schema,
            value=value,
            headers=self._headers(headers),
        )

    def _headers(self, headers: Sequence[Header] = ()) -> ConnectHeaders:
        return ConnectHeaders((*headers, *self._context))

    def _source(self, at: Position, snapshot: str, schema: str, table: str) -> Struct:
        made = Struct(SOURCE)
        micros = 0 if at.micros is None else at.micros
        commit = "null" if at.commit_lsn is None else f'"{at.commit_lsn}"'
        made.values[:] = (
            DEBEZIUM_VERSION,
            _CONNECTOR,
            self._name,
            micros // 1000,
            None if snapshot == "false" else snapshot,  # which is the default
            self._database,
            f'[{commit},"{at.lsn}"]',
            micros,
            micros * 1000,
            schema,
            table,
            at.xid,
            at.lsn,
            None,
        )
        return made

    def tombstone(
        self, shape: Shape, key: Struct, at: Position, headers: Sequence[Header] = ()
    ) -> SourceRecord:
        return SourceRecord(
            self.partition,
            at.offset(),
            shape.topic,
            key_schema=shape.key_schema,
            key=key,
            headers=self._headers(headers),
        )

    def transaction(self, status: str, at: Position, now_ns: int) -> SourceRecord:
        """BEGIN, or END with what there was between them."""
        name = f"{at.xid}:{at.lsn}"
        key, value = Struct(TRANSACTION_KEY), Struct(TRANSACTION_VALUE)
        key.values[:] = (name,)
        ended = status == "END"
        collections = [collection(each, count) for each, count in sorted(at.counts.items())]
        millis = now_ns // 1_000_000 if at.micros is None else at.micros // 1000
        count = sum(at.counts.values())
        value.values[:] = status, name, count if ended else None, collections if ended else None, millis
        return self._plain(self._transaction_topic, key, value, at)

    def message(
        self, prefix: str, content: bytes, at: Position, now_ns: int, order: Order | None
    ) -> SourceRecord:
        key, value, inner = Struct(_MESSAGE_KEY), Struct(_MESSAGE_VALUE), Struct(_MESSAGE)
        key.values[:] = (prefix,)
        inner.values[:] = prefix, content
        source = self._source(at, "false", "", "")
        block = None if order is None else _block(order)
        value.values[:] = "m", now_ns // 1_000_000, source, block, inner
        return self._plain(self._message_topic, key, value, at)

    def heartbeat(self, at: Position, now_ns: int) -> SourceRecord:
        key, value = Struct(_SERVER), Struct(_HEARTBEAT)
        key.values[:] = (self._name,)
        value.values[:] = (now_ns // 1_000_000,)
        return self._plain(self._heartbeat_topic, key, value, at)

    def _plain(self, topic: str, key: Struct, value: Struct, at: Position) -> SourceRecord:
        return SourceRecord(
            self.partition,
            at.offset(),
            topic,
            key_schema=key.schema,
            key=key,
            value_schema=value.schema,
            value=value,
        )


def _block(order: Order) -> Struct:
    made = Struct(TRANSACTION_BLOCK)
    made.values[:] = order
    return made
