"""Rows of a table that are new: by a column that grows, by one with their time, by both, or all each time."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ottla.connect.connectors.sql.times import TimeColumn, moment_of
from ottla.connect.connectors.sql.types import NumericMapping, column_schema, from_database
from ottla.connect.data.logical import EPOCH
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.errors import ConfigError, ConnectError

__all__ = ["Mode", "Reading", "Row", "RowReader", "table_of"]

Offset = Mapping[str, Value]


class Mode(enum.Enum):
    """How new rows are told."""

    BULK = "bulk"
    INCREMENTING = "incrementing"
    TIMESTAMP = "timestamp"
    BOTH = "timestamp+incrementing"


class Reading(NamedTuple):
    """What is read, and how."""

    mode: Mode
    incrementing: str | None
    timestamp: str | None
    """A column each; None for one that the mode has no need of."""
    delay: dt.timedelta
    """How old a row is when it is read, so that transactions that began earlier can end."""
    numbers: NumericMapping
    since: dt.datetime | None = EPOCH
    """For timestamps: where to begin where no offset is known; None for the database's now."""


class Row(NamedTuple):
    """A row as a struct, and the offset behind it."""

    value: Struct
    offset: Offset


def table_of(engine: sa.Engine, name: str) -> sa.Table:
    """A table or view by its name, perhaps with a schema's in front. Raises ConfigError if there is none."""
    schema, _, plain = name.rpartition(".")
    try:
        return sa.Table(plain, sa.MetaData(), schema=schema or None, autoload_with=engine)
    except sa.exc.NoSuchTableError:
        raise ConfigError(f"there is no table {name}") from None


class RowReader:
    """Goes on behind an offset, query by query; rows of one query come in the order of their offsets."""

    def __init__(
        self,
        source: sa.Table | sa.Subquery,
        name: str,
        reading: Reading,
        offset: Offset | None,
        dialect: str,
    ) -> None:
        """Raises ConfigError for a column that is not there."""
        self._source: Final = source
        self._name: Final = name
        self._reading: Final = reading
        self.offset: Offset = dict(offset or {})
        self._incrementing: Final = self._column(reading.incrementing)
        timestamp = self._column(reading.timestamp)
        self._timestamp: Final = None if timestamp is None else TimeColumn(timestamp, dialect)
        self._since = reading.since
        self.schema: Final = _schema_of(source, name, reading)
        self._names: Final = [str(column.name) for column in source.columns]

    def _column(self, name: str | None) -> sa.ColumnElement[Any] | None:
        if name is None:
            return None
        found = next((one for one in self._source.columns if one.name.lower() == name.lower()), None)
        if found is None:
            there = ", ".join(one.name for one in self._source.columns)
            raise ConfigError(f"{self._name} has no column {name}; there are {there}")
        return found

    def query(self, connection: sa.Connection) -> sa.Select[Any]:
        """For what is new at this moment, by the database's clock."""
        query = sa.select(self._source)
        grows, time = self._incrementing, self._timestamp
        last_number = self.offset.get("incrementing")
        if time is not None:
            end = time.end(connection, self._reading.delay)
            if self._since is None:
                self._since = end - time.resolution
            since = self._last_time() or self._since
            later = time.after(since)
            if grows is not None and last_number is not None:
                later = sa.or_(later, sa.and_(time.at(since), grows > last_number))
            order = [time.column] if grows is None else [time.column, grows]
            return query.where(time.before(end), later).order_by(*order)
        if grows is not None:
            if last_number is not None:
                query = query.where(grows > last_number)
            return query.order_by(grows)
        return query

    def rows(self, found: Iterator[Sequence[Any]]) -> Iterator[Row]:
        """A query's rows. A time counts as read when all its rows are, so that none is lost behind a stop."""
        if self._reading.mode is not Mode.TIMESTAMP:
            for cells in found:
                yield self._row(cells)
            return
        waiting: Row | None = None
        before = self.offset
        for cells in found:
            row = self._row(cells)
            if waiting is not None:
                complete = row.offset != waiting.offset
                yield waiting if complete else Row(waiting.value, before)
                before = waiting.offset if complete else before
            waiting = row
        if waiting is not None:
            yield waiting

    def _row(self, cells: Sequence[Any]) -> Row:
        struct = Struct(self.schema)
        struct.values[:] = [
            from_database(field.schema, cell, f"{self._name}.{field.name}")
            for field, cell in zip(self.schema.fields, cells, strict=True)
        ]
        return Row(struct, self._offset_of(cells))

    def _offset_of(self, cells: Sequence[Any]) -> Offset:
        offset: dict[str, Value] = {}
        if self._incrementing is not None:
            number = cells[self._names.index(self._incrementing.name)]
            if number is None:
                raise ConnectError(f"{self._name}.{self._incrementing.name} is null, which has no order")
            offset["incrementing"] = int(number)
        if self._timestamp is not None:
            moment = moment_of(cells[self._names.index(self._timestamp.column.name)])
            offset["timestamp"] = (moment - EPOCH) // dt.timedelta(milliseconds=1)
            offset["timestamp_nanos"] = moment.microsecond * 1000
        return offset

    def _last_time(self) -> dt.datetime | None:
        millis, nanos = self.offset.get("timestamp"), self.offset.get("timestamp_nanos")
        if not isinstance(millis, int):
            return None
        moment = EPOCH + dt.timedelta(milliseconds=millis)
        return moment.replace(microsecond=nanos // 1000) if isinstance(nanos, int) else moment


def _schema_of(source: sa.Table | sa.Subquery, name: str, reading: Reading) -> Schema:
    fields = [
        (str(column.name), column_schema(column.type, optional=_nullable(column), numbers=reading.numbers))
        for column in source.columns
    ]
    return Schema(Type.STRUCT, name=name.rpartition(".")[2], fields=fields)


def _nullable(column: sa.ColumnElement[Any]) -> bool:
    return not isinstance(column, sa.Column) or bool(column.nullable and not column.primary_key)
