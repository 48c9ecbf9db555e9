"""EventRouter: the rows of an outbox table as the events that they hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from ottla.cdc.transforms.events import envelope_of, part_of
from ottla.connect.data import Schema, SchemaAndValue, Struct, Value, struct_of
from ottla.connect.data.remembered import Remembered
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError
from ottla.connect.transforms.interface import Record, Transformation
from ottla.connect.transforms.regex import Regex, compile_regex, replace_first
from ottla.connect.validators import OneOf

__all__ = ["EventRouter"]

_log: Final = logging.getLogger(__name__)
_TO_MILLIS: Final = {
    "io.debezium.time.Timestamp": 1,
    "io.debezium.time.MicroTimestamp": 1_000,
    "io.debezium.time.NanoTimestamp": 1_000_000,
}


class _Added(NamedTuple):
    column: str
    place: str
    """header, envelope or partition"""
    name: str


def _added(texts: list[str]) -> list[_Added]:
    """Raises ConfigError."""
    found = []
    for text in texts:
        parts = [each.strip() for each in text.split(":")]
        if len(parts) not in (2, 3) or parts[1].lower() not in ("header", "envelope", "partition"):
            raise ConfigError(
                f"table.fields.additional.placement: {text!r} is not COLUMN:header|envelope|partition[:NAME]"
            )
        found.append(_Added(parts[0], parts[1].lower(), parts[-1] if len(parts) == 3 else parts[0]))
    return found


class EventRouter(Transformation):
    """An outbox row's payload, in the topic that the row names."""

    DOC = "Give the payload of an outbox table's row, keyed and routed by its columns."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("table.op.invalid.behavior", ConfigType.STRING, "warn", Importance.MEDIUM,
                "What becomes of an update of the table: it is left out with a warning or an error, or it "
                "is fatal.",
                validator=OneOf("warn", "error", "fatal"))
        .define("table.field.event.id", ConfigType.STRING, "id", Importance.LOW, "The column with the id.")
        .define("table.field.event.key", ConfigType.STRING, "aggregateid", Importance.LOW,
                "The column with the key.")
        .define("table.field.event.type", ConfigType.STRING, "type", Importance.LOW,
                "The column with the type, which placements name.")
        .define("table.field.event.timestamp", ConfigType.STRING, None, Importance.MEDIUM,
                "The column with the time; the change's without.")
        .define("table.field.event.payload", ConfigType.STRING, "payload", Importance.LOW,
                "The column with the payload.")
        .define("table.field.event.schema.version", ConfigType.STRING, None, Importance.LOW,
                "The column with the version of the event's schema.")
        .define("table.fields.additional.placement", ConfigType.LIST, (), Importance.HIGH,
                "Columns to add: COLUMN:header|envelope|partition[:NAME].")
        .define("table.field.additional.missing", ConfigType.STRING, "error", Importance.MEDIUM,
                "What becomes of a column to add that is not there.",
                validator=OneOf("error", "ignore"))
        .define("route.by.field", ConfigType.STRING, "aggregatetype", Importance.HIGH,
                "The column to route by.")
        .define("route.topic.regex", ConfigType.STRING, "(?<routedByValue>.*)", Importance.LOW,
                "What its value is matched with.", validator=Regex())
        .define("route.topic.replacement", ConfigType.STRING, "outbox.event.${routedByValue}",
                Importance.HIGH, "The topic's name, of the expression's groups.")
        .define("route.tombstone.on.empty.payload", ConfigType.BOOLEAN, False, Importance.HIGH,
                "Whether an empty payload is a tombstone.")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        if settings.get("table.expand.json.payload", "").strip().lower() == "true":
            raise ConfigError("table.expand.json.payload=true is not served")
        self._added: Final = _added(list(self.settings.list("table.fields.additional.placement")))
        self._has_envelope: Final = any(each.place == "envelope" for each in self._added)
        self._pattern: Final = compile_regex(self.settings.string("route.topic.regex"))
        self._schemas: Final = Remembered(self._envelope, most=1000)

    def apply(self, record: Record) -> Record | None:
        if record.value is None:
            return None
        event = envelope_of(record)
        if event is None:
            return record
        operation = event.string("op")
        if operation == "u":
            self._refuse_update(record.key)
        _, row = part_of(event, "after")
        if operation not in ("c", "r") or row is None:
            return None
        return self._routed(record, event, row)

    def _refuse_update(self, key: Value) -> None:
        behavior = self.settings.string("table.op.invalid.behavior")
        if behavior == "fatal":
            raise ConnectError(f"an outbox table's row was updated: {key}")
        log = _log.warning if behavior == "warn" else _log.error
        log("an outbox table's row was updated, which is left out: %s", key)

    def _column(self, row: Struct, setting: str) -> tuple[Schema, Value]:
        name = self.settings.string(setting)
        field = row.schema.field(name)
        if field is None:
            raise DataError(f"{setting}: the outbox table has no column {name}")
        return field.schema, row[name]

    def _routed(self, record: Record, event: Struct, row: Struct) -> Record:
        payload_schema, payload = self._column(row, "table.field.event.payload")
        id_schema, event_id = self._column(row, "table.field.event.id")
        route = self._column(row, "route.by.field")[1]
        if not isinstance(route, str):
            raise DataError(f"route.by.field: {route!r} is no name")
        headers = record.headers.duplicate()
        headers.add("id", event_id, id_schema)
        partition: int | None = None
        added: list[Value] = []
        for each in self._added:
            field = row.schema.field(each.column)
            if field is None:
                if self.settings.string("table.field.additional.missing") == "ignore":
                    continue
                raise DataError(f"Unable to find field {each.column} in event")
            if each.place == "header":
                headers.add(each.name, row[each.column], field.schema)
            elif each.place == "partition":
                partition = row.int32(each.column)
            else:
                added.append(row[each.column])
        value = SchemaAndValue(payload_schema, payload)
        if self._has_envelope:
            value = self._enveloped(row, route, payload, added)
        if self.settings.boolean("route.tombstone.on.empty.payload") and not str(payload or "").strip():
            value = SchemaAndValue(None, None)
        topic = route
        if self._pattern.fullmatch(route) is not None:
            topic = replace_first(self._pattern, self.settings.string("route.topic.replacement"), route)
        return record.replace(
            topic=topic,
            partition=partition,
            key=self._key(row),
            value=value,
            timestamp=self._time(event, row),
            headers=headers,
        )

    def _key(self, row: Struct) -> SchemaAndValue:
        name = self.settings.string("table.field.event.key")
        field = row.schema.field(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        return SchemaAndValue(field.schema, row[name])

    def _enveloped(self, row: Struct, route: str, payload: Value, added: list[Value]) -> SchemaAndValue:
        versions = self.settings.optional_string("table.field.event.schema.version")
        schema = self._schemas[row.schema, route, row.int32(versions) if versions else None]
        made = Struct(schema)
        made.values[:] = [payload, *added]
        return SchemaAndValue(schema, made)

    def _envelope(self, given: tuple[Schema, str, int | None]) -> Schema:
        """Of a row's schema, its route and its version."""
        row, route, version = given
        head, dot, tail = (row.name or "").rpartition(".")
        name = f"{head}{dot}{route}.{tail}" if tail else route
        columns = [(self.settings.string("table.field.event.payload"), "payload")]
        columns += [(each.column, each.name) for each in self._added if each.place == "envelope"]
        fields = [
            (called, field.schema) for column, called in columns if (field := row.field(column)) is not None
        ]
        return struct_of(fields, name=name, version=version)

    def _time(self, event: Struct, row: Struct) -> int | None:
        name = self.settings.optional_string("table.field.event.timestamp")
        if not name:
            return event.int64("ts_ms")
        schema, value = self._column(row, "table.field.event.timestamp")
        if value is None:
            return event.int64("ts_ms")
        unit = _TO_MILLIS.get(schema.name or "")
        if unit is None or not isinstance(value, int):
            raise DataError(f"Unsupported field type {schema.name} for event timestamp")
        return value // unit if value >= 0 else -(-value // unit)
