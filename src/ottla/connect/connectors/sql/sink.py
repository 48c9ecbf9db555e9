"""Topics into tables: Confluent's JdbcSinkConnector."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.connect.connectors.sql.databases import (
    NoConnectionError,
    connection_config,
    engine_of,
    with_checks,
)
from ottla.connect.connectors.sql.writing import InsertMode, KeyMode, RowWriter, Writing
from ottla.connect.definition import ConfigDef, ConfigType, ConfigValue, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkConnector, SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyString, OneOf
from ottla.connect.version import VERSION

__all__ = ["SqlSinkConnector", "SqlSinkTask"]


def _config() -> ConfigDef:
    return (
        connection_config()
        .define("insert.mode", ConfigType.STRING, "insert", Importance.HIGH,
                "What becomes of a row whose key is there already: `insert` fails, `upsert` replaces it, "
                "`update` changes rows that are there and nothing else.",
                validator=OneOf(*(mode.value for mode in InsertMode)), group="Writes", order=1)
        .define("batch.size", ConfigType.INT, 3000, Importance.MEDIUM,
                "How many rows one statement is given at most. All records of a `put`, which are as many as "
                "the consumer's `max.poll.records` says, are in one transaction.",
                validator=AtLeast(1), group="Writes", order=2)
        .define("delete.enabled", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether a record without a value deletes the row of its key; needs `pk.mode=record_key`.",
                group="Writes", order=3)
        .define("table.name.format", ConfigType.STRING, "${topic}", Importance.MEDIUM,
                "The table's name, perhaps with its schema's and a dot in front.", validator=NonEmptyString(),
                group="Data Mapping", order=1)
        .define("pk.mode", ConfigType.STRING, "none", Importance.HIGH,
                "Where a row's key is from: `none`, `kafka` (topic, partition, offset), `record_key` or "
                "`record_value`.",
                validator=OneOf(*(mode.value for mode in KeyMode)), group="Data Mapping", order=2)
        .define("pk.fields", ConfigType.LIST, (), Importance.MEDIUM, "The columns of the key.",
                group="Data Mapping", order=3)
        .define("fields.whitelist", ConfigType.LIST, (), Importance.MEDIUM,
                "The fields of values; all without it.",
                group="Data Mapping", order=4)
        .define("auto.create", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether missing tables are created.",
                group="DDL Support", order=1)
        .define("auto.evolve", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether missing columns are added, for fields that are optional or have a default.",
                group="DDL Support", order=2)
        .define("max.retries", ConfigType.INT, 10, Importance.MEDIUM,
                "How often records are written again that the database did not take for now.",
                validator=AtLeast(0), group="Retries", order=1)
        .define("retry.backoff.ms", ConfigType.INT, 3000, Importance.MEDIUM, "How long to wait before that.",
                validator=AtLeast(0), group="Retries", order=2)
    )  # fmt: skip


def _writing(settings: Settings) -> Writing:
    """Raises ConfigError for modes that do not fit together."""
    insert, key = InsertMode(settings.string("insert.mode")), KeyMode(settings.string("pk.mode"))
    fields, deletes = settings.list("pk.fields"), settings.boolean("delete.enabled")
    if insert is not InsertMode.INSERT and key is KeyMode.NONE:
        raise ConfigError(f"insert.mode={insert.value} needs a pk.mode: it finds rows by their key")
    if deletes and key is not KeyMode.RECORD_KEY:
        raise ConfigError(
            "delete.enabled needs pk.mode=record_key: a record without a value has its key only"
        )
    if key is KeyMode.RECORD_VALUE and not fields:
        raise ConfigError("pk.mode=record_value needs pk.fields")
    if key is KeyMode.KAFKA and len(fields) not in (0, 3):
        raise ConfigError("pk.mode=kafka takes three pk.fields, for topic, partition and offset, or none")
    return Writing(
        insert, key, fields, settings.list("fields.whitelist"), deletes, settings.boolean("auto.create"),
        settings.boolean("auto.evolve"), settings.string("table.name.format"), settings.integer("batch.size"),
    )  # fmt: skip


class SqlSinkConnector(SinkConnector):
    """Records as rows, each topic in a table of its own."""

    kafka_name = "io.confluent.connect.jdbc.JdbcSinkConnector"

    def version(self) -> str:
        return VERSION

    def config(self) -> ConfigDef:
        return _config()

    def validate(self, config: Config) -> list[ConfigValue]:
        """Also whether the modes fit together, and the database has its driver."""
        values = super().validate(config)
        return with_checks(self, config, values, insert_mode=_writing, connection_url=engine_of)

    def task_class(self) -> type[SinkTask]:
        return SqlSinkTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        return [self.started_with] * max_tasks


class SqlSinkTask(SinkTask):
    """Writes what it is given before it asks for more."""

    kafka_name = "io.confluent.connect.jdbc.sink.JdbcSinkTask"

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        self._settings = SqlSinkConnector().settings(config)
        self._engine = engine_of(self._settings)
        self._writer = RowWriter(self._engine, _writing(self._settings))
        self._left = self._settings.integer("max.retries")

    def put(self, records: Sequence[SinkRecord]) -> None:
        try:
            self._writer.write(records)
        except RetriableError as error:
            if self._left == 0:
                raise ConnectError(f"max.retries is used up: {error}") from error
            self._left -= 1
            self.context.timeout(self._settings.integer("retry.backoff.ms"))
            raise
        except NoConnectionError:
            raise
        except ConnectError as error:
            reporter = self.context.errant_record_reporter
            if reporter is None:
                raise
            if len(records) == 1:
                reporter.report(records[0], error)
                return
            # Which of them it is shows when each is written by itself.
            for record in records:
                self.put([record])
        self._left = self._settings.integer("max.retries")

    def stop(self) -> None:
        self._engine.dispose()
