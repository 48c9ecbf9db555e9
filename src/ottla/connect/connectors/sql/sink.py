"""Topics into tables: Confluent's JdbcSinkConnector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.sinks import WritingSinkTask, retry_config
from ottla.connect.connectors.sql.databases import connection_config, engine_of
from ottla.connect.connectors.sql.writing import InsertMode, KeyMode, RowWriter, Writing
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, NonEmptyString, OneOf

__all__ = ["SqlSinkConnector", "SqlSinkTask"]


def _config() -> ConfigDef:
    return retry_config(
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


class SqlSinkConnector(BuiltInSinkConnector):
    """Records as rows, each topic in a table of its own."""

    kafka_name = "io.confluent.connect.jdbc.JdbcSinkConnector"

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {"insert.mode": _writing, "connection.url": engine_of}

    def task_class(self) -> type[SinkTask]:
        return SqlSinkTask


class SqlSinkTask(WritingSinkTask):
    """Writes all that it is given in one transaction."""

    kafka_name = "io.confluent.connect.jdbc.sink.JdbcSinkTask"
    connector = SqlSinkConnector

    def connect(self, settings: Settings) -> None:
        self._engine = engine_of(settings)
        self._writer = RowWriter(self._engine, _writing(settings))

    def batches(self, records: Sequence[SinkRecord]) -> Iterable[Sequence[SinkRecord]]:
        return [records] if records else []

    def write(self, batch: Sequence[SinkRecord]) -> None:
        self._writer.write(batch)

    def stop(self) -> None:
        self._engine.dispose()
