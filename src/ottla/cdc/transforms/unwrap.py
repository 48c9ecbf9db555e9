"""ExtractNewRecordState: of an event the row alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, NamedTuple

from ottla.cdc.transforms.events import envelope_of, part_of, with_value
from ottla.connect.data import Field, Schema, SchemaAndValue, Struct, Type, Value
from ottla.connect.data.remembered import Remembered
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectHeaders, ConnectRecord
from ottla.connect.transforms.fields import ReplaceFieldKey, ReplaceFieldValue
from ottla.connect.transforms.insertion import InsertFieldValue
from ottla.connect.transforms.interface import Record, Transformation, require_struct
from ottla.connect.validators import OneOf

__all__ = ["ExtractNewRecordState"]

_DELETED: Final = "__deleted"
_MODES: Final = ("drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone")
_TRANSACTION: Final = ("id", "total_order", "data_collection_order")
_TOP: Final = ("op", "ts_ms", "ts_us", "ts_ns")


class _Reference(NamedTuple):
    """A field of an event, and what it is to be called."""

    struct: str | None
    """source or transaction; None for the event itself"""
    field: str
    name: str

    def is_in(self, event: Schema) -> bool:
        return self._field(event) is not None

    def schema(self, event: Schema) -> Schema | None:
        """None where the event has no such field."""
        found = self._field(event)
        return None if found is None else found.schema.replace(optional=True, without_default=True)

    def _field(self, event: Schema) -> Field | None:
        parent = None if self.struct is None else event.field(self.struct)
        return (event if parent is None else parent.schema).field(self.field) or event.field(self.field)

    def value(self, event: Struct) -> Value:
        parent: Value = event if self.struct is None else event.without_default(self.struct)
        if not isinstance(parent, Struct):
            return None
        holder = parent if parent.schema.field(self.field) is not None else event
        return holder.without_default(self.field)


def _references(prefix: str, names: list[str], setting: str) -> list[_Reference]:
    """Raises ConfigError."""
    found = []
    for text in names:
        path, _, given = text.partition(":")
        if ":" in given or not path:
            raise ConfigError(f"{setting}: {text!r} is not FIELD, STRUCT.FIELD or one of these with :NAME")
        struct, dot, field = path.partition(".")
        if not dot:
            struct, field = "", path
        if struct:
            name = given or f"{struct}_{field}"
        else:
            name = given or field
        default = None if field in _TOP else "transaction" if field in _TRANSACTION else "source"
        found.append(_Reference(struct or default, field, prefix + name))
    return found


class ExtractNewRecordState(Transformation):
    """The row behind the change as the record's value."""

    DOC = "Give an event's row as the value, and deletes as tombstones or with a field that says so."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("delete.tombstone.handling.mode", ConfigType.STRING, "tombstone", Importance.MEDIUM,
                "Of a delete: a tombstone (`tombstone`, `delete-to-tombstone`), nothing (`drop`), or the old "
                "row with `__deleted` (`rewrite`), also before a tombstone (`rewrite-with-tombstone`).",
                validator=OneOf(*_MODES))
        .define("route.by.field", ConfigType.STRING, "", Importance.LOW,
                "The column whose value is the topic's name.")
        .define("add.fields", ConfigType.LIST, (), Importance.LOW,
                "Fields of the event to add to the row, such as `op` or `source.ts_ms:time`.")
        .define("add.fields.prefix", ConfigType.STRING, "__", Importance.LOW,
                "What is in front of their names.")
        .define("add.headers", ConfigType.LIST, (), Importance.LOW,
                "Fields of the event to add as headers.")
        .define("add.headers.prefix", ConfigType.STRING, "__", Importance.LOW,
                "What is in front of the headers' names.")
        .define("drop.fields.header.name", ConfigType.STRING, None, Importance.LOW,
                "A header that lists fields to leave out.")
        .define("drop.fields.from.key", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether the key is without them, too.")
        .define("drop.fields.keep.schema.compatible", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether only fields that may be null are left out.")
        .define("replace.null.with.default", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether a null becomes its field's default where `__deleted` is added.")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        given = self.settings
        self._mode: Final = given.string("delete.tombstone.handling.mode")
        self._route: Final = given.string("route.by.field")
        fields, headers = list(given.list("add.fields")), list(given.list("add.headers"))
        self._fields: Final = _references(given.string("add.fields.prefix"), fields, "add.fields")
        self._headers: Final = _references(given.string("add.headers.prefix"), headers, "add.headers")
        self._drop_header: Final = given.optional_string("drop.fields.header.name")
        replaces = str(given.boolean("replace.null.with.default")).lower()
        self._deleted: Final = {
            text: InsertFieldValue(
                {"static.field": _DELETED, "static.value": text, "replace.null.with.default": replaces}
            )
            for text in ("true", "false")
        }
        self._schemas: Final = Remembered(self._row_with_fields, most=64)

    @property
    def _rewrites(self) -> bool:
        return self._mode.startswith("rewrite")

    def apply(self, record: Record) -> Record | None:
        event = envelope_of(record)
        if event is None and record.value is not None:
            return record
        if self._headers:
            record = record.replace(headers=self._with_headers(record, event))
        if event is None:
            return record if self._mode == "rewrite-with-tombstone" else None
        after_schema, after = part_of(event, "after")
        before_schema, before = part_of(event, "before")
        if after is not None:
            return self._changed(with_value(record, after_schema, after), event)
        if before is None:  # a truncate
            return None
        return self._deleted_one(record, event, after_schema, with_value(record, before_schema, before))

    def _changed(self, row: Record, event: Struct) -> Record:
        if self._rewrites:
            row = self._deleted["false"].apply(row)
        row = self._routed(row, require_struct(row.value, "routing"))
        return self._without_dropped(self._with_fields(row, event))

    def _deleted_one(self, record: Record, event: Struct, after: Schema, old: Record) -> Record | None:
        if self._mode == "drop":
            return None
        before = require_struct(old.value, "routing")
        if not self._rewrites:
            schema = after if self._mode == "tombstone" else None
            return self._routed(with_value(record, schema, None), before)
        row = self._routed(self._deleted["true"].apply(old), before)
        return self._with_fields(self._without_dropped(row), event)

    def _routed(self, record: Record, row: Struct) -> Record:
        if not self._route:
            return record
        topic = row.string(self._route)
        return record if topic is None or not topic.strip() else record.replace(topic=topic)

    def _with_headers(self, record: ConnectRecord, event: Struct | None) -> ConnectHeaders:
        headers = record.headers.duplicate()
        for each in self._headers:
            if event is None:
                if each.field == "op":
                    headers.add(each.name, "d", Schema(Type.STRING))
                continue
            schema = each.schema(event.schema)
            if schema is not None:
                headers.add(each.name, each.value(event), schema)
        return headers

    def _with_fields(self, record: Record, event: Struct) -> Record:
        row = require_struct(record.value, "source field insertion")
        made = Struct(self._schemas[row.schema, event.schema])
        made.values[:] = [
            *row.values,
            *(each.value(event) for each in self._fields if each.is_in(event.schema)),
        ]
        return record.replace(value=SchemaAndValue(made.schema, made))

    def _row_with_fields(self, given: tuple[Schema, Schema]) -> Schema:
        """Of a row's schema and its event's."""
        row, event = given
        fields = [(field.name, field.schema) for field in row.struct_fields]
        fields += [(each.name, schema) for each in self._fields if (schema := each.schema(event)) is not None]
        return row.replace(optional=False, fields=fields)

    def _without_dropped(self, record: Record) -> Record:
        names = self._dropped(record)
        if not names:
            return record
        if self.settings.boolean("drop.fields.from.key") and isinstance(record.key, Struct):
            of_key = self._may_drop(record.key.schema, names)
            if of_key:
                record = ReplaceFieldKey({"exclude": ",".join(of_key)}).apply(record)
        if isinstance(record.value, Struct):
            of_value = self._may_drop(record.value.schema, names)
            if of_value:
                record = ReplaceFieldValue({"exclude": ",".join(of_value)}).apply(record)
        return record

    def _dropped(self, record: ConnectRecord) -> list[str]:
        if not self._drop_header:
            return []
        for header in record.headers:
            if header.key == self._drop_header and header.value is not None:
                if not isinstance(header.value, list):
                    raise DataError(f"the header {header.key} is no list of fields")
                return [str(each) for each in header.value]
        return []

    def _may_drop(self, schema: Schema, names: list[str]) -> list[str]:
        if not self.settings.boolean("drop.fields.keep.schema.compatible"):
            return names
        return [field.name for field in schema.struct_fields if field.schema.optional and field.name in names]
