"""Rows that are there, as of one moment of the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import pq, sql

from ottla.cdc.envelope import Times
from ottla.cdc.postgres.catalog import Catalog
from ottla.cdc.postgres.columns import Columns, TableInfo
from ottla.cdc.postgres.database import Connection
from ottla.cdc.postgres.offsets import Position
from ottla.cdc.postgres.records import Records
from ottla.cdc.tables import Raw, Shape, TableId
from ottla.connect.errors import ConnectError
from ottla.connect.records import SourceRecord

__all__ = ["Snapshot"]

_log: Final = logging.getLogger(__name__)
_FIRST_ROWS: Final = 256
_FETCH_BYTES: Final = 8 << 20
"""That a fetch gets, if its rows are as large as those before"""


class _Pending:
    """A row whose place in the snapshot is only known when the next one comes."""

    __slots__ = ("is_first", "is_first_of_table", "raw", "shape")

    def __init__(self, shape: Shape, raw: Sequence[Raw], *, first: bool, first_of_table: bool) -> None:
        self.shape = shape
        self.raw = raw
        self.is_first = first
        self.is_first_of_table = first_of_table


class Snapshot:
    """Read `rows` in a transaction of `connection` that sees the database as it is at `position`."""

    def __init__(
        self,
        connection: Connection,
        catalog: Catalog,
        columns: Columns,
        records: Records,
        position: Position,
        fetch_size: int,
        overrides: Mapping[TableId, str],
        now_ns: Times,
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._columns = columns
        self._records = records
        self._position = position
        self._fetch_size = fetch_size
        self._overrides = overrides
        self._now_ns = now_ns

    def begin(self, exported: str | None) -> None:
        """See what another connection has exported, or what there is now."""
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if exported is not None:
            self._connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(exported)))

    def end(self) -> None:
        self._connection.execute("COMMIT")

    def rows(self, tables: Sequence[TableId]) -> Iterator[SourceRecord]:
        pending: _Pending | None = None
        for table in tables:
            info = self._catalog.table(table)
            if not info.columns:
                continue  # it went between being listed and now
            shape = self._columns.shape(info)
            began, count = time.monotonic(), 0
            for raw in self._read(info):
                count += 1
                if pending is not None:
                    yield self._record(pending, "last_in_data_collection" if count == 1 else None)
                is_first = pending is None
                pending = _Pending(shape, raw, first=is_first, first_of_table=count == 1)
            _log.info("%s: %d rows in %.1f s", table, count, time.monotonic() - began)
        if pending is not None:
            yield self._record(pending, "last")

    def _record(self, row: _Pending, place: str | None) -> SourceRecord:
        at = self._position
        if row.is_first and place != "last":
            place = "first"
        elif place is None:
            place = "first_in_data_collection" if row.is_first_of_table else "true"
        at.is_last = place == "last"
        at.micros = self._now_ns() // 1000
        values = row.shape.values(row.raw)
        key = row.shape.key(values)
        return self._records.event(
            row.shape, "r", key, None, row.shape.row(values), replace(at), self._now_ns(), snapshot=place
        )

    def _read(self, info: TableInfo) -> Iterator[Sequence[Raw]]:
        """By a cursor of the server's, so that only `fetch_size` rows are here at a time, or fewer where they
        are large.
        """
        names = [column.name for column in info.columns]
        query: sql.Composable | bytes = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(*info.id)
        )
        if info.id in self._overrides:
            query = self._overrides[info.id].strip().rstrip(";").encode()
        declare = b"DECLARE ottla_snapshot NO SCROLL CURSOR FOR "
        text = query if isinstance(query, bytes) else query.as_bytes(self._connection)
        self._connection.execute(declare + text)
        rows = min(self._fetch_size, _FIRST_ROWS)
        while True:
            result = self._fetch(f"FETCH {rows} FROM ottla_snapshot".encode())
            value = result.get_value
            told = {(result.fname(at) or b"").decode(): at for at in range(result.nfields)}
            places = [told.get(name) for name in names]
            size = 0
            for number in range(result.ntuples):
                row = [None if at is None else value(number, at) for at in places]
                size += sum(map(len, filter(None, row)))
                yield row
            if result.ntuples < rows:
                break
            fitting = _FETCH_BYTES * rows // max(size, 1)
            rows = max(1, min(self._fetch_size, fitting, 4 * rows))
        self._connection.execute("CLOSE ottla_snapshot")

    def _fetch(self, command: bytes) -> pq.abc.PGresult:
        """The texts as they come."""
        result = self._connection.pgconn.exec_(command)
        if result.status != pq.ExecStatus.TUPLES_OK:
            if self._connection.closed:
                raise psycopg.OperationalError("the snapshot's connection is lost")
            raise ConnectError(f"the snapshot failed: {result.error_message.decode(errors='replace')}")
        return result
