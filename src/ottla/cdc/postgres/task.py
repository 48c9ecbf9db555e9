"""The one task: a snapshot where one is due, then the log."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import psycopg

from ottla.cdc.filters import Names, Tables
from ottla.cdc.postgres import settings as given
from ottla.cdc.postgres.catalog import Catalog
from ottla.cdc.postgres.database import (
    Connection,
    Slot,
    advance_slot,
    captured,
    connect,
    ensure_publication,
    failure,
    find_slot,
    wal_position,
)
from ottla.cdc.postgres.messages import Relation, decode
from ottla.cdc.postgres.offsets import Position, position_from
from ottla.cdc.postgres.records import Records
from ottla.cdc.postgres.replication import Created, Replication
from ottla.cdc.postgres.snapshot import Snapshot
from ottla.cdc.postgres.streaming import Streaming
from ottla.cdc.tables import Shape, TableId
from ottla.connect.data import STRING
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import Header, SourceRecord
from ottla.connect.sdk import Config, Offset, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.version import VERSION

__all__ = ["PostgresTask"]

_log: Final = logging.getLogger(__name__)
_CONTEXT: Final = "__debezium.context."
_WITHOUT_ROWS: Final = ("never", "no_data")
_WHEN_NEEDED: Final = "when_needed"


class PostgresTask(SourceTask):
    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        settings = given.definition().parse(config)
        self._settings = settings
        self._parameters = given.connection(settings)
        self._tables: Tables = given.table_filter(settings)
        self._columns = given.columns_of(settings, config)
        self._rules = given.rules_of(settings)
        self._overrides = given.overrides(settings, config)
        self._records = _records(settings, config)
        self._wait_s = min(settings.integer("poll.interval.ms") / 1000, 0.5)
        self._batch = settings.integer("max.batch.size")
        self._beat_s = settings.integer("heartbeat.interval.ms") / 1000
        self._beaten = time.monotonic()
        self._lock = threading.Lock()
        self._kept_lsn = 0
        self._kept: Offset | None = None
        self._given: Offset | None = None
        self._resumes_at: Position | None = None
        self._config = config
        self._replication: Replication | None = None
        self._streaming: Streaming | None = None
        self._snapshot_rows: Iterator[SourceRecord] | None = None
        self._snapshot: Snapshot | None = None
        self._connection: Connection | None = None
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    # Where it goes on

    def _begin(self) -> None:
        """Raises ConnectError."""
        settings = self._settings
        offset = self.context.offset(self._records.partition)
        position = None if offset is None else position_from(offset)
        if self._resumes_at is not None:
            position = self._resumes_at
        self._connection = connect(self._parameters, settings.optional_string("database.initial.statements"))
        try:
            self._catalog = Catalog(self._connection)
            self._publish()
            slot = find_slot(self._connection, settings.string("slot.name"))
            self._check(slot)
            mode = settings.string("snapshot.mode")
            if self._is_snapshot_due(mode, position, slot):
                self._begin_snapshot(slot, position)
            elif mode != given.SNAPSHOTS_ONLY:
                self._begin_streaming(None if slot is None else position, slot)
            else:
                _log.info("the snapshot was complete before, and there is nothing more to do")
        except psycopg.Error as error:
            raise failure("beginning failed", error) from error

    def _publish(self) -> None:
        settings, connection = self._settings, self._connection
        assert connection is not None  # `_begin` has made it
        operations = None
        if "skipped.operations" in self._config and self._rules.skipped:
            named = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}
            kept = [name for operation, name in named.items() if operation not in self._rules.skipped]
            operations = ", ".join(kept)
        ensure_publication(
            connection,
            settings.string("publication.name"),
            settings.string("publication.autocreate.mode"),
            lambda: captured(self._catalog, self._tables),
            via_root=settings.boolean("publish.via.partition.root"),
            operations=operations,
        )

    def _check(self, slot: Slot | None) -> None:
        if slot is None:
            return
        name, database = self._settings.string("slot.name"), self._settings.string("database.dbname")
        if slot.plugin != "pgoutput" or slot.database != database:
            raise ConnectError(
                f"the slot {name} is of {slot.plugin} in {slot.database}: "
                "name another in slot.name, or drop it"
            )

    def _is_snapshot_due(self, mode: str, position: Position | None, slot: Slot | None) -> bool:
        if mode == "always":
            return True
        if position is None or position.is_snapshot_incomplete:
            if mode not in _WITHOUT_ROWS:
                return True
            if position is None:
                return False
        if mode == given.SNAPSHOTS_ONLY:
            return False
        if mode == _WHEN_NEEDED:
            return slot is None or slot.is_lost or not _has(slot, position)
        if (slot is None and not self._drops_slot) or (slot is not None and slot.is_lost):
            name = self._settings.string("slot.name")
            raise ConnectError(
                f"the slot {name} that the offset goes on with is not there any more, so that "
                "changes are missing: snapshot.mode=when_needed reads all rows again, and resetting "
                "the connector's offsets begins anew"
            )
        return False

    @property
    def _drops_slot(self) -> bool:
        """Whether it was us if there is none."""
        return self._settings.boolean("slot.drop.on.stop") and self._resumes_at is None

    # The snapshot

    def _begin_snapshot(self, slot: Slot | None, position: Position | None) -> None:
        """As of where a slot begins: the one that streaming goes on with, or one for the snapshot alone where
        that is there already.
        """
        settings, connection = self._settings, self._connection
        assert connection is not None  # `_begin` has made it
        self._rest(settings.integer("snapshot.delay.ms") / 1000)
        exported: str | None = None
        if settings.string("snapshot.mode") == given.SNAPSHOTS_ONLY:
            lsn, xid = wal_position(connection)
        else:
            created = self._create_slot(slot)
            lsn, exported = created.lsn, created.snapshot
            xid = wal_position(connection)[1]
            if slot is not None and not slot.is_lost:
                # It would send again what the snapshot sees; if that does not end, another one is taken.
                advance_slot(connection, settings.string("slot.name"), lsn)
        start = Position(lsn, xid=xid, snapshot="INITIAL")
        if position is not None:
            _log.info("the snapshot is taken anew")
        fetch_size = settings.integer("snapshot.fetch.size")
        self._snapshot = Snapshot(
            connection,
            self._catalog,
            self._columns,
            self._records,
            start,
            fetch_size,
            self._overrides,
            time.time_ns,
        )
        self._snapshot.begin(exported)
        wanted = settings.optional_string("snapshot.include.collection.list")
        names = Names(wanted, None, "snapshot.include.collection")
        tables = captured(self._catalog, self._tables, lambda table: names.has(str(table)))
        if "r" in self._rules.skipped:
            tables = []
        if settings.boolean("publish.via.partition.root"):
            tables = [each for each in tables if not self._is_partition(each)]
        self._snapshot_rows = self._snapshot.rows(tables)
        self._snapshot_position = start

    def _is_partition(self, table: TableId) -> bool:
        assert self._connection is not None  # `_begin` has made it
        row = self._connection.execute(
            "SELECT c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s",
            table,
        ).fetchone()
        return row is not None and bool(row[0])

    def _create_slot(self, slot: Slot | None) -> Created:
        """Its snapshot lives as long as the connection rests."""
        replication = self._connect_replication()
        name = self._settings.string("slot.name")
        if slot is not None and slot.is_lost:
            replication.drop_slot(name)
            slot = None
        if slot is not None:
            return replication.create_slot(f"ottla_{uuid.uuid4().hex[:20]}", temporary=True)
        return replication.create_slot(name)

    def _connect_replication(self) -> Replication:
        assert self._replication is None  # one at a time
        seconds = self._settings.integer("status.update.interval.ms") / 1000
        self._replication = Replication(self._parameters, seconds)
        return self._replication

    def _close_replication(self) -> None:
        if self._replication is not None:
            self._replication.close()
            self._replication = None

    def _poll_snapshot(self, rows: Iterator[SourceRecord]) -> Sequence[SourceRecord] | None:
        try:
            found = list(itertools.islice(rows, self._batch))
        except psycopg.Error as error:
            raise failure("the snapshot failed", error) from error
        if len(found) == self._batch:
            return found
        self._snapshot_rows = None
        assert self._snapshot is not None  # its rows came from it
        self._snapshot.end()
        if self._settings.string("snapshot.mode") != given.SNAPSHOTS_ONLY:
            self._close_replication()
            position = self._snapshot_position
            position.is_last = True
            self._begin_streaming(position, None)
        _log.info("the snapshot is complete")
        return found or None

    # The log

    def _begin_streaming(self, position: Position | None, slot: Slot | None) -> None:
        settings, connection = self._settings, self._connection
        assert connection is not None  # `_begin` has made it
        name = settings.string("slot.name")
        if position is None:
            lsn, xid = wal_position(connection)
            if slot is None:
                lsn = self._connect_replication().create_slot(name).lsn
                self._close_replication()
            elif slot.flushed_lsn is not None:
                lsn = slot.flushed_lsn
            position = Position(lsn, xid=xid)
        start = position.commit_lsn if position.commit_lsn is not None else 0
        flushed = 0 if slot is None or slot.flushed_lsn is None else slot.flushed_lsn
        self._start_replication(name, start)
        self._streaming = Streaming(self._records, self._rules, self._shape, position, flushed, time.time_ns)

    def _start_replication(self, slot: str, lsn: int) -> None:
        settings = self._settings
        options = {
            "proto_version": "1",
            "publication_names": '"' + settings.string("publication.name").replace('"', '""') + '"',
        }
        if self._server_version() >= 140_000:
            options["messages"] = "true"
        retries = settings.integer("slot.max.retries")
        for attempt in itertools.count():
            replication = self._connect_replication()
            try:
                replication.start(slot, lsn, options)
            except RetriableError as error:
                self._close_replication()
                if attempt >= retries or self.context.is_stopping:
                    raise
                _log.warning("streaming is begun again: %s", error)
                self._rest(settings.integer("slot.retry.delay.ms") / 1000)
            else:
                return

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.context.is_stopping:
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))

    def _server_version(self) -> int:
        assert self._connection is not None  # `_begin` has made it
        return self._connection.info.server_version

    def _shape(self, relation: Relation) -> Shape | None:
        if not self._tables.has(TableId(relation.schema, relation.name)):
            return None
        try:
            return self._columns.shape(self._catalog.relation(relation))
        except psycopg.Error as error:
            raise failure(f"looking at {relation.schema}.{relation.name} failed", error) from error

    def poll(self) -> Sequence[SourceRecord] | None:
        if self._connection is None:
            self._begin_again()
        try:
            if self._snapshot_rows is not None:
                return self._poll_snapshot(self._snapshot_rows)
            if self._streaming is not None and self._replication is not None:
                return self._poll_log(self._streaming, self._replication)
        except RetriableError:
            self._disconnect()
            raise
        time.sleep(self._wait_s)
        return None

    def _begin_again(self) -> None:
        """After the database was lost: behind what was given away, or with the snapshot anew."""
        self._rest(self._settings.integer("retriable.restart.connector.wait.ms") / 1000)
        try:
            self._begin()
        except RetriableError:
            self._disconnect()
            raise

    def _poll_log(self, streaming: Streaming, replication: Replication) -> Sequence[SourceRecord] | None:
        with self._lock:
            replication.flushed(self._kept_lsn)
        self._resumes_at = replace(streaming.position)  # all before is given away
        found: list[SourceRecord] = []
        for wal in replication.read(self._batch, self._wait_s):
            message = decode(wal.data)
            if message is not None:
                found += streaming.on(message, wal.lsn)
        if not found and not streaming.in_transaction:
            self._idle(replication)
        found = self._beat(streaming, found)
        if found:
            with self._lock:
                self._given = found[-1].source_offset
        return found or None

    def _idle(self, replication: Replication) -> None:
        """Nothing of what the server has written since is for us: it need not keep it. But where a slot that
        is newer than the offset makes a snapshot due, the slot stays behind the offset.
        """
        if self._settings.string("snapshot.mode") == _WHEN_NEEDED:
            return
        with self._lock:
            is_all_kept = self._given is None or self._kept == self._given
        if is_all_kept:
            replication.flushed(replication.server_end)

    def _beat(self, streaming: Streaming, found: list[SourceRecord]) -> list[SourceRecord]:
        now = time.monotonic()
        if not self._beat_s or now - self._beaten < self._beat_s or streaming.in_transaction:
            return found
        self._beaten = now
        query = self._settings.optional_string("heartbeat.action.query")
        if query:
            assert self._connection is not None  # `_begin` has made it
            try:
                self._connection.execute(query.encode())
            except psycopg.Error as error:
                _log.warning("heartbeat.action.query failed: %s", error)
        return [*found, self._records.heartbeat(streaming.position, time.time_ns())]

    def commit_offsets(self, offsets: Sequence[tuple[Offset, Offset]]) -> None:
        for _, offset in offsets:
            lsn = offset.get("lsn_commit")
            with self._lock:
                self._kept = offset
                if isinstance(lsn, int):
                    self._kept_lsn = max(self._kept_lsn, lsn)

    def stop(self) -> None:
        if self._replication is not None:
            with self._lock:
                self._replication.flushed(self._kept_lsn)
        self._close_replication()
        if self._connection is not None and self._settings.boolean("slot.drop.on.stop"):
            self._drop_slot(self._connection)
        self._disconnect()

    def _disconnect(self) -> None:
        self._close_replication()
        self._snapshot_rows = None
        self._streaming = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _drop_slot(self, connection: Connection) -> None:
        name = self._settings.string("slot.name")
        for _ in range(50):  # the server notices after a moment that nobody reads it
            try:
                connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
            except psycopg.errors.ObjectInUse:
                time.sleep(0.1)
            except psycopg.Error as error:
                _log.warning("the slot %s was not dropped: %s", name, error)
                return
            else:
                return


def _has(slot: Slot, position: Position) -> bool:
    """Whether all that comes behind the position is in the slot: not where it was made later, as for a
    snapshot that broke off before an offset of it was kept.
    """
    return slot.restart_lsn is not None and slot.restart_lsn <= max(
        position.lsn or 0, position.commit_lsn or 0
    )


def _records(settings: Settings, config: Config) -> Records:
    envelopes = given.envelopes_of(settings)
    context: list[Header] = []
    if settings.boolean("extended.headers.enabled"):
        values = {
            "connectorLogicalName": envelopes.prefix,
            "taskId": config.get("task.id", "0"),
            "connectorName": "postgresql",
            "runId": str(uuid.uuid4()),
        }
        context = [Header(_CONTEXT + name, STRING, value) for name, value in values.items()]
    return Records(
        envelopes,
        settings.string("database.dbname"),
        context,
        envelopes.topic((settings.string("topic.transaction"),)),
        f"{settings.string('topic.heartbeat.prefix')}.{envelopes.prefix}",
    )
