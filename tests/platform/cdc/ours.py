"""Our connector's task without a worker, as Debezium's runs in `tests/differential/cdc`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.platform.cdc.postgres import PostgresServer
from tests.platform.cdc.running import Shown

from ottla.cdc.postgres.connector import PostgresConnector
from ottla.cdc.postgres.replication import parse_lsn
from ottla.cdc.postgres.task import PostgresTask
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json import JsonConverter
from ottla.connect.data import Schema, Value
from ottla.connect.plugins import Plugins
from ottla.connect.process.pipeline import make_steps
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Offset, TransactionContext

WAIT_S = 90


class Context:
    def __init__(self) -> None:
        self.kept: Offset | None = None
        self.is_stopping = False
        self.transactions: TransactionContext | None = None

    def offset(self, partition: Offset) -> Offset | None:
        assert dict(partition) == {"server": "srv"}
        return self.kept

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        return [self.offset(each) for each in partitions]


class Ours:
    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.context = Context()
        self._keys = JsonConverter({}, ConverterType.KEY)
        self._values = JsonConverter({}, ConverterType.VALUE)

    def start(self, config: Mapping[str, str], *, fresh: bool = True) -> None:
        if fresh:
            self.context = Context()
        connector = PostgresConnector()
        wrong = [each.errors for each in connector.validate(config) if each.errors]
        assert not wrong, wrong
        connector.start(config)
        self._database = config["database.dbname"]
        self._steps = make_steps(Plugins(), config)
        self.task = PostgresTask()
        self.task.context = self.context
        self.task.start(connector.task_configs(1)[0])

    def poll(self) -> list[Shown]:
        """What has happened until now."""
        with self._server.connect(self._database) as connection:
            row = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert row is not None
        until, deadline = parse_lsn(row[0]), time.monotonic() + WAIT_S
        found: list[Shown] = []
        while True:
            records = self.task.poll()
            if records:
                found += [self.shown(each) for each in map(self._transformed, records) if each is not None]
                self.context.kept = records[-1].source_offset
                self.task.commit_offsets(
                    [(each.source_partition, each.source_offset) for each in records[-1:]]
                )
            elif self._is_at(until):
                return found
            assert time.monotonic() < deadline, "the log does not come"

    def _is_at(self, lsn: int) -> bool:
        replication = self.task._replication
        if self.task._snapshot_rows is not None:
            return False
        return replication is None or replication.server_end >= lsn

    def _transformed(self, record: SourceRecord) -> SourceRecord | None:
        changed: SourceRecord | None = record
        for step in self._steps:
            changed = None if changed is None else step.transform.apply(changed)
        return changed

    def shown(self, record: SourceRecord) -> Shown:
        return {
            "topic": record.topic,
            "key": _json(self._keys, record.topic, record.key_schema, record.key),
            "value": _json(self._values, record.topic, record.value_schema, record.value),
            "headers": [[each.key, str(each.value)] for each in record.headers],
            "partition": dict(record.source_partition),
            "offset": dict(record.source_offset),
            "timestamp": record.timestamp,
        }

    def stop(self) -> list[Any]:
        self.task.stop()
        return []


def _json(converter: JsonConverter, topic: str, schema: Schema | None, value: Value) -> Any:
    if value is None:
        return None
    data = converter.from_connect(topic, schema, value)
    assert data is not None
    return json.loads(data)
