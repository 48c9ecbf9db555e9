"""The connector's settings: Debezium's names and defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ottla.cdc.envelope import Envelopes, name_adjustment
from ottla.cdc.filters import Keys, Masks, Names, Tables, propagated, split_list
from ottla.cdc.postgres.columns import Columns
from ottla.cdc.postgres.database import SESSION
from ottla.cdc.postgres.records import SOURCE
from ottla.cdc.postgres.streaming import Rules
from ottla.cdc.postgres.types import Modes
from ottla.cdc.tables import TableId
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import AtLeast, Check, NonEmptyString, OneOf

__all__ = ["SNAPSHOTS_ONLY", "columns_of", "connection", "definition", "envelopes_of", "overrides", "rules_of",
           "table_filter"]  # fmt: skip

_SYSTEM: Final = frozenset(("pg_catalog", "information_schema"))
SNAPSHOTS_ONLY: Final = "initial_only"


def _plugin(name: str, value: SettingValue) -> None:
    if value != "pgoutput":
        raise invalid(name, value, "only PostgreSQL's own pgoutput is read; it needs no extension")


_BOOLEAN, _INT, _LONG, _STRING = ConfigType.BOOLEAN, ConfigType.INT, ConfigType.LONG, ConfigType.STRING
_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW


def definition() -> ConfigDef:
    defined = ConfigDef()
    _define_database(defined)
    _define_slot(defined)
    _define_events(defined)
    _define_values(defined)
    return defined


def _define_database(defined: ConfigDef) -> None:
    (
        defined
        .define("topic.prefix", _STRING, REQUIRED, _HIGH,
                "What all topics' names begin with, and what the source is called.",
                validator=NonEmptyString(), group="Connector")
        .define("database.hostname", _STRING, REQUIRED, _HIGH, "Where the server is.", group="Database")
        .define("database.port", _INT, 5432, _HIGH, "Its port.", group="Database")
        .define("database.user", _STRING, REQUIRED, _HIGH, "Who connects.", group="Database")
        .define("database.password", ConfigType.PASSWORD, None, _HIGH, "That user's password.", group="Database")
        .define("database.dbname", _STRING, REQUIRED, _HIGH, "The database.", group="Database")
        .define("database.sslmode", _STRING, "prefer", _MEDIUM, "Whether the connection is encrypted, as libpq has it.",
                validator=OneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), group="Database")
        .define("database.sslcert", _STRING, None, _MEDIUM, "The client's certificate, a file.", group="Database")
        .define("database.sslkey", _STRING, None, _MEDIUM, "Its key, a file.", group="Database")
        .define("database.sslpassword", ConfigType.PASSWORD, None, _MEDIUM, "The key's password.", group="Database")
        .define("database.sslrootcert", _STRING, None, _MEDIUM, "Whom the server's certificate is from, a file.", group="Database")
        .define("database.tcpKeepAlive", _BOOLEAN, True, _MEDIUM, "Whether connections are probed.", group="Database")
        .define("database.initial.statements", _STRING, None, _LOW,
                "SQL for each connection but the replicating one, parted by semicolons (two for one of SQL's own).", group="Database")
    )  # fmt: skip


def _define_slot(defined: ConfigDef) -> None:
    (
        defined
        .define("plugin.name", _STRING, "pgoutput", _MEDIUM, "The output plugin: pgoutput.",
                validator=Check(_plugin, "pgoutput"), group="Replication")
        .define("slot.name", _STRING, "debezium", _MEDIUM, "The replication slot.", group="Replication")
        .define("slot.drop.on.stop", _BOOLEAN, False, _MEDIUM,
                "Drop the slot when the connector stops: what happens until it starts again is lost.", group="Replication")
        .define("slot.max.retries", _INT, 6, _LOW, "How often streaming is begun again where somebody else uses the slot.",
                validator=AtLeast(0), group="Replication")
        .define("slot.retry.delay.ms", _LONG, 10_000, _LOW, "How long to wait between these.", validator=AtLeast(0), group="Replication")
        .define("publication.name", _STRING, "dbz_publication", _MEDIUM, "The publication.", group="Replication")
        .define("publication.autocreate.mode", _STRING, "all_tables", _MEDIUM,
                "What is published where there is no such publication yet: all_tables, the tables that are captured "
                "(filtered; these are kept up to date), no_tables, or disabled for an error. "
                "`all_tables` makes updates and deletes of tables without a key fail.",
                validator=OneOf("all_tables", "disabled", "filtered", "no_tables"), group="Replication")
        .define("publish.via.partition.root", _BOOLEAN, False, _LOW,
                "Whether a new publication has partitions' changes as those of their root.", group="Replication")
        .define("status.update.interval.ms", _INT, 10_000, _MEDIUM,
                "How often the server is told what is in Kafka, so that its log can be removed.", validator=AtLeast(1), group="Replication")
        .define("snapshot.mode", _STRING, "initial", _MEDIUM,
                "When rows that are there are read: initial (where there is no offset), initial_only, always, no_data (never; also called "
                "never), when_needed (also where the log has not what comes next).",
                validator=OneOf("always", "initial", "initial_only", "never", "no_data", "when_needed"), group="Snapshot")
        .define("snapshot.fetch.size", _INT, 10_240, _MEDIUM, "How many rows a snapshot gets at a time.", validator=AtLeast(1), group="Snapshot")
        .define("snapshot.include.collection.list", _STRING, None, _MEDIUM, "Which of the captured tables a snapshot reads.", group="Snapshot")
        .define("snapshot.select.statement.overrides", _STRING, None, _LOW,
                "Tables whose rows are read by the statement of `snapshot.select.statement.overrides.TABLE`.", group="Snapshot")
        .define("snapshot.delay.ms", _LONG, 0, _LOW, "How long to wait before a snapshot.", validator=AtLeast(0), group="Snapshot")
    )  # fmt: skip


def _define_events(defined: ConfigDef) -> None:
    lists = "Regular expressions, parted by commas, of whole names."
    for name, what in (("schema", "schemas"), ("table", "tables (SCHEMA.TABLE)"),
                       ("column", "columns (SCHEMA.TABLE.COLUMN)"), ("message.prefix", "logical messages' prefixes")):  # fmt: skip
        defined.define(
            f"{name}.include.list",
            _STRING,
            None,
            _HIGH,
            f"Which {what} are captured. {lists}",
            group="Filters",
        )
        defined.define(
            f"{name}.exclude.list", _STRING, None, _MEDIUM, f"Which {what} are not. {lists}", group="Filters"
        )
    (
        defined
        .define("message.key.columns", _STRING, None, _MEDIUM, "Keys of one's own: TABLES:COLUMN,COLUMN;TABLES:COLUMN.", group="Events")
        .define("skipped.operations", _STRING, "t", _LOW, "Operations without events: of c, u, d, t; or none.", group="Events")
        .define("tombstones.on.delete", _BOOLEAN, True, _MEDIUM, "Whether a delete's event is followed by one without a value.", group="Events")
        .define("provide.transaction.metadata", _BOOLEAN, False, _LOW, "Whether transactions have a topic, and events say theirs.", group="Events")
        .define("topic.delimiter", _STRING, ".", _LOW, "What is between the parts of topics' names.", group="Events")
        .define("topic.transaction", _STRING, "transaction", _LOW, "The transactions' topic, behind the prefix.", group="Events")
        .define("topic.heartbeat.prefix", _STRING, "__debezium-heartbeat", _LOW, "What is in front of the prefix in the heartbeats' topic.", group="Events")
        .define("heartbeat.interval.ms", _INT, 0, _MEDIUM,
                "How often a heartbeat is written where offsets move and no event comes; 0 for never.", validator=AtLeast(0), group="Events")
        .define("heartbeat.action.query", _STRING, None, _LOW, "SQL for each heartbeat, such as an update of a captured table.", group="Events")
        .define("extended.headers.enabled", _BOOLEAN, True, _LOW, "Whether records have headers that say where they are from.", group="Events")
        .define("max.batch.size", _INT, 2048, _MEDIUM, "How many messages of the log are read at a time.", validator=AtLeast(1), group="Events")
        .define("retriable.restart.connector.wait.ms", _LONG, 10_000, _LOW, "How long a database that is not there is left alone.", validator=AtLeast(0), group="Events")
        .define("poll.interval.ms", _LONG, 500, _MEDIUM, "How long to wait for something to happen.", validator=AtLeast(1), group="Events")
    )  # fmt: skip


def _define_values(defined: ConfigDef) -> None:
    (
        defined
        .define("decimal.handling.mode", _STRING, "precise", _MEDIUM, "NUMERIC as bytes (precise), string or double.",
                validator=OneOf("precise", "string", "double"), group="Values")
        .define("time.precision.mode", _STRING, "adaptive", _MEDIUM, "How exact times are.",
                validator=OneOf("adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"), group="Values")
        .define("binary.handling.mode", _STRING, "bytes", _LOW, "BYTEA as it is, or as text.",
                validator=OneOf("bytes", "base64", "base64-url-safe", "hex"), group="Values")
        .define("hstore.handling.mode", _STRING, "json", _LOW, "hstore as JSON's text or a map.", validator=OneOf("json", "map"), group="Values")
        .define("interval.handling.mode", _STRING, "numeric", _LOW, "INTERVAL in microseconds or as ISO 8601's text.",
                validator=OneOf("numeric", "string"), group="Values")
        .define("money.fraction.digits", _INT, 2, _LOW, "Digits behind the point of MONEY.", validator=AtLeast(0), group="Values")
        .define("include.unknown.datatypes", _BOOLEAN, False, _LOW, "Whether columns of other types are there, as bytes of their text.", group="Values")
        .define("unavailable.value.placeholder", _STRING, "__debezium_unavailable_value", _LOW,
                "In place of a large value that did not change, which the log has not.", validator=NonEmptyString(), group="Values")
        .define("event.converting.failure.handling.mode", _STRING, "warn", _LOW,
                "What becomes of a value that cannot be converted: null, with a warning or without one (skip), or the task fails.",
                validator=OneOf("fail", "skip", "warn"), group="Values")
        .define("schema.name.adjustment.mode", _STRING, "none", _MEDIUM, "What schemas' names become.",
                validator=OneOf("none", "avro", "avro_unicode"), group="Values")
        .define("field.name.adjustment.mode", _STRING, "none", _MEDIUM, "What fields' names become.",
                validator=OneOf("none", "avro", "avro_unicode"), group="Values")
        .define("column.propagate.source.type", _STRING, None, _LOW, "Columns whose schemas tell their types (SCHEMA.TABLE.COLUMN).", group="Values")
        .define("datatype.propagate.source.type", _STRING, None, _LOW, "Types whose columns' schemas tell them (SCHEMA.TABLE.TYPE).", group="Values")
    )  # fmt: skip


def connection(settings: Settings) -> dict[str, str]:
    """libpq's parameters."""
    found = {
        "host": settings.string("database.hostname"),
        "port": str(settings.integer("database.port")),
        "user": settings.string("database.user"),
        "dbname": settings.string("database.dbname"),
        "sslmode": settings.string("database.sslmode"),
        "keepalives": "1" if settings.boolean("database.tcpKeepAlive") else "0",
        "application_name": "Debezium Streaming",
        "connect_timeout": "30",
        "client_encoding": "UTF8",
        "options": SESSION,
    }
    for name in ("sslcert", "sslkey", "sslrootcert"):
        value = settings.optional_string(f"database.{name}")
        if value:
            found[name] = value
    for name, parameter in (("database.password", "password"), ("database.sslpassword", "sslpassword")):
        secret = settings.secret(name)
        if secret is not None and secret.value:
            found[parameter] = secret.value
    return found


def envelopes_of(settings: Settings) -> Envelopes:
    return Envelopes(
        settings.string("topic.prefix"),
        settings.string("topic.delimiter"),
        SOURCE,
        name_adjustment(settings.string("schema.name.adjustment.mode")),
        name_adjustment(settings.string("field.name.adjustment.mode")),
    )


def _names(settings: Settings, name: str) -> Names:
    return Names(
        settings.optional_string(f"{name}.include.list"),
        settings.optional_string(f"{name}.exclude.list"),
        name,
    )


def table_filter(settings: Settings) -> Tables:
    """Raises ConfigError."""
    return Tables(_names(settings, "schema"), _names(settings, "table"), _SYSTEM)


def columns_of(settings: Settings, config: Mapping[str, str]) -> Columns:
    """Raises ConfigError."""
    modes = Modes(
        settings.string("decimal.handling.mode"),
        settings.string("time.precision.mode"),
        settings.string("binary.handling.mode"),
        settings.string("interval.handling.mode"),
        settings.string("hstore.handling.mode"),
        settings.integer("money.fraction.digits"),
        settings.boolean("include.unknown.datatypes"),
        settings.string("unavailable.value.placeholder"),
    )
    return Columns(
        modes,
        _names(settings, "column"),
        Keys(settings.optional_string("message.key.columns")),
        Masks(config),
        _propagated(settings, "column.propagate.source.type"),
        _propagated(settings, "datatype.propagate.source.type"),
        envelopes_of(settings),
        settings.string("event.converting.failure.handling.mode"),
    )


def _propagated(settings: Settings, name: str) -> re.Pattern[str] | None:
    return propagated(split_list(settings.optional_string(name) or ""), name)


def rules_of(settings: Settings) -> Rules:
    """Raises ConfigError."""
    skipped = [each.strip() for each in settings.string("skipped.operations").split(",") if each.strip()]
    if skipped == ["none"]:
        skipped = []
    if wrong := [each for each in skipped if each not in ("c", "u", "d", "t", "r")]:
        raise ConfigError(f"skipped.operations: there is no operation {wrong[0]!r}")
    return Rules(
        frozenset(skipped),
        settings.boolean("tombstones.on.delete"),
        settings.boolean("provide.transaction.metadata"),
        _names(settings, "message.prefix").has,
    )


def overrides(settings: Settings, config: Mapping[str, str]) -> dict[TableId, str]:
    """SQL by table. ConfigError where one is named and its statement missing."""
    name = "snapshot.select.statement.overrides"
    found: dict[TableId, str] = {}
    for table in split_list(settings.optional_string(name) or ""):
        statement = config.get(f"{name}.{table}")
        if not statement:
            raise ConfigError(f"{name}.{table} is missing")
        schema, _, plain = table.rpartition(".")
        found[TableId(schema.rpartition(".")[2] or "public", plain)] = statement
    return found
