"""Tables into topics: Confluent's JdbcSourceConnector."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ottla.connect.connectors.base import BuiltInSourceConnector, Checks
from ottla.connect.connectors.sql.databases import connection_config, engine_of, failure
from ottla.connect.connectors.sql.reading import Mode, Reading, Row, RowReader, table_of
from ottla.connect.data.logical import EPOCH
from ottla.connect.data.schema import Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, Offset, SourceTask
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import AtLeast, Check, NonEmptyString, OneOf
from ottla.connect.version import VERSION

__all__ = ["SqlSourceConnector", "SqlSourceTask"]

_TABLES: Final = "ottla.tables"
_WAIT_S: Final = 0.2
_RETRY_S: Final = 1.0
"""How long a database that did not answer is left alone, at least"""
_SYSTEM: Final = re.compile(r"pg_|sqlite_|information_schema")


def _refuse_query(name: str, value: SettingValue) -> None:
    if value:
        raise invalid(
            name, "...", "queries are not read here: make it a view, and put that into table.whitelist"
        )


def _config() -> ConfigDef:
    return (
        connection_config()
        .define("mode", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "How new rows are told: `incrementing` by a column that grows, `timestamp` by one with the "
                "time of their last change, `timestamp+incrementing` by both; `bulk` reads all rows "
                "each time.",
                validator=OneOf(*(mode.value for mode in Mode)), group="Mode", order=1)
        .define("incrementing.column.name", ConfigType.STRING, "", Importance.MEDIUM,
                "The column that grows.",
                group="Mode", order=2)
        .define("timestamp.column.name", ConfigType.STRING, "", Importance.MEDIUM,
                "The column with the time.",
                group="Mode", order=3)
        .define("timestamp.initial", ConfigType.LONG, None, Importance.LOW,
                "From which time on rows are read where none was yet: milliseconds since 1970, -1 for now.",
                group="Mode", order=4)
        .define("timestamp.delay.interval.ms", ConfigType.LONG, 0, Importance.HIGH,
                "How old rows are when they are read, so that transactions which began earlier can end.",
                validator=AtLeast(0), group="Mode", order=5)
        .define("query", ConfigType.STRING, "", Importance.MEDIUM, "Is refused; read a view instead.",
                validator=Check(_refuse_query, "empty"), group="Mode", order=6)
        .define("table.whitelist", ConfigType.LIST, (), Importance.MEDIUM,
                "The tables and views; all tables without it and `table.blacklist`.",
                group="Database", order=4)
        .define("table.blacklist", ConfigType.LIST, (), Importance.MEDIUM, "Tables that are left out.",
                group="Database", order=5)
        .define("schema.pattern", ConfigType.STRING, None, Importance.HIGH,
                "The database's schema whose tables are read; its default one without.",
                group="Database", order=6)
        .define("numeric.mapping", ConfigType.STRING, "none", Importance.LOW,
                "`none`: NUMERIC is a Decimal; `best_fit`: an integer where it fits, or FLOAT64.",
                validator=OneOf("none", "best_fit"), group="Database", order=7)
        .define("topic.prefix", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "What is in front of a table's name in its topic's.",
                validator=NonEmptyString(), group="Connector")
        .define("poll.interval.ms", ConfigType.INT, 5000, Importance.HIGH,
                "How long to wait between two looks at a table.",
                validator=AtLeast(0), group="Connector", order=1)
        .define("batch.max.rows", ConfigType.INT, 1000, Importance.LOW, "How many rows a batch has at most.",
                validator=AtLeast(1), group="Connector", order=2)
    )  # fmt: skip


def _reading(settings: Settings) -> Reading:
    """Raises ConfigError for a mode without its columns."""
    mode = Mode(settings.string("mode"))
    grows, moved = settings.string("incrementing.column.name"), settings.string("timestamp.column.name")
    if mode in (Mode.INCREMENTING, Mode.BOTH) and not grows:
        raise ConfigError(f"mode {mode.value} needs incrementing.column.name")
    if mode in (Mode.TIMESTAMP, Mode.BOTH) and not moved:
        raise ConfigError(f"mode {mode.value} needs timestamp.column.name")
    initial = settings.optional_integer("timestamp.initial")
    since = None if initial == -1 else EPOCH + dt.timedelta(milliseconds=initial or 0)
    return Reading(
        mode,
        grows if mode in (Mode.INCREMENTING, Mode.BOTH) else None,
        moved if mode in (Mode.TIMESTAMP, Mode.BOTH) else None,
        dt.timedelta(milliseconds=settings.integer("timestamp.delay.interval.ms")),
        settings.string("numeric.mapping"),
        since,
    )


class SqlSourceConnector(BuiltInSourceConnector):
    """New rows of tables, each table in a topic of its own."""

    kafka_name = "io.confluent.connect.jdbc.JdbcSourceConnector"

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {"mode": _reading, "connection.url": engine_of}

    def start(self, config: Config) -> None:
        super().start(config)
        settings = self.settings(config)
        _reading(settings)
        self._tables = _tables(settings)

    def task_class(self) -> type[SourceTask]:
        return SqlSourceTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        return self.divided(_TABLES, self._tables, max_tasks)


def _tables(settings: Settings) -> list[str]:
    """Raises ConnectError where the database does not answer, ConfigError where there is nothing to read."""
    named = list(settings.list("table.whitelist"))
    if named:
        return named
    engine = engine_of(settings)
    schema = settings.optional_string("schema.pattern")
    try:
        found = sa.inspect(engine).get_table_names(schema=schema)
    except sa.exc.SQLAlchemyError as error:
        raise failure("the database's tables cannot be listed", error) from error
    finally:
        engine.dispose()
    left_out = frozenset(settings.list("table.blacklist"))
    prefix = f"{schema}." if schema else ""
    tables = [f"{prefix}{name}" for name in sorted(found) if not _SYSTEM.match(name) and name not in left_out]
    if not tables:
        raise ConfigError("there is no table to read; table.whitelist names tables and views")
    return tables


class _Open(NamedTuple):
    """A query whose rows are not all read."""

    name: str
    connection: sa.Connection
    result: sa.CursorResult[Any]
    rows: Iterator[Row]


class SqlSourceTask(SourceTask):
    """Reads its tables in turns."""

    kafka_name = "io.confluent.connect.jdbc.source.JdbcSourceTask"

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        settings = SqlSourceConnector().settings(config)
        self._settings = settings
        self._reading = _reading(settings)
        self._engine = engine_of(settings)
        self._names = json.loads(config[_TABLES]) if _TABLES in config else _tables(settings)
        self._readers: dict[str, RowReader] = {}
        self._due = dict.fromkeys(self._names, 0.0)
        self._open: _Open | None = None

    def poll(self) -> Sequence[SourceRecord] | None:
        try:
            return self._next()
        except sa.exc.SQLAlchemyError as error:
            self._close()
            # Who asks again asks at once: what may pass is given the time to.
            again = time.monotonic() + max(_RETRY_S, self._settings.integer("poll.interval.ms") / 1000)
            self._due = dict.fromkeys(self._names, again)
            raise failure(f"reading {', '.join(self._names)} failed", error) from error
        except BaseException as error:
            self._close()
            if isinstance(error, TypeError | ValueError) and not isinstance(error, ConnectError):
                # A driver's, of a value that its column should not have.
                raise DataError(f"reading {', '.join(self._names)} failed: {error}") from error
            raise

    def _next(self) -> Sequence[SourceRecord] | None:
        if self._open is None:
            name = min(self._names, key=self._due.__getitem__)
            if self._due[name] > time.monotonic():
                time.sleep(min(_WAIT_S, self._due[name] - time.monotonic()))
                return None
            self._begin(name)
        assert self._open is not None  # it was begun
        name, rows = self._open.name, self._open.rows
        reader, records = self._readers[name], list[SourceRecord]()
        for row in itertools.islice(rows, self._settings.integer("batch.max.rows")):
            records.append(self._record(name, row))
        if records:
            # Not before all were read: none of them is given away if one cannot be.
            reader.offset = records[-1].source_offset
        if len(records) == self._settings.integer("batch.max.rows"):
            return records
        self._close()
        self._due[name] = time.monotonic() + self._settings.integer("poll.interval.ms") / 1000
        return records or None

    def _begin(self, name: str) -> None:
        reader = self._readers.get(name)
        if reader is None:
            table = table_of(self._engine, name)
            offset = self.context.offset(self._partition(name))
            reader = self._readers[name] = RowReader(
                table, name, self._reading, offset, self._engine.dialect.name
            )
        with contextlib.ExitStack() as at_failure:
            connection = at_failure.enter_context(self._engine.connect())
            query = reader.query(connection)
            streaming = connection.execution_options(stream_results=True, yield_per=1000)
            result = streaming.execute(query)
            at_failure.pop_all()
        self._open = _Open(name, connection, result, reader.rows(iter(result)))

    def _record(self, name: str, row: Row) -> SourceRecord:
        offset: Mapping[str, Value] = row.offset
        topic = self._settings.string("topic.prefix") + name.rpartition(".")[2]
        return SourceRecord(
            self._partition(name), offset, topic, value_schema=row.value.schema, value=row.value
        )

    def _partition(self, name: str) -> Offset:
        return {"protocol": "1", "table": name}

    def _close(self) -> None:
        if self._open is not None:
            self._open.result.close()
            self._open.connection.close()
            self._open = None

    def stop(self) -> None:
        self._close()
        self._engine.dispose()
