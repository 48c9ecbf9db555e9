"""What is put into records, or hidden in them: InsertField, MaskField, SetSchemaMetadata."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final, NamedTuple

from ottla.connect.data.logical import EPOCH, TIMESTAMP, scale_of, timestamp_from_millis
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import DECIMAL_NAME, Schema, Struct, Type, Value
from ottla.connect.data.schemas import FLOAT64, INT32, INT64, STRING
from ottla.connect.data.values import convert
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectRecord, SinkRecord
from ottla.connect.settings import invalid
from ottla.connect.transforms.interface import (
    OnePart,
    Part,
    Record,
    define_null_replacement,
    field_value,
    require_map,
    require_struct,
)
from ottla.connect.validators import NonEmptyString, ValidList

__all__ = [
    "InsertFieldKey",
    "InsertFieldValue",
    "MaskFieldKey",
    "MaskFieldValue",
    "SetSchemaMetadataKey",
    "SetSchemaMetadataValue",
]

_INSERTED: Final[Mapping[str, Schema]] = {
    "topic": STRING,
    "partition": INT32,
    "offset": INT64,
    "timestamp": TIMESTAMP,
    "static": STRING,
}
_SUFFIX: Final = "`!` behind it makes it a required field, `?` an optional one, as it is without."


class _Inserted(NamedTuple):
    """A field to put in: where its value is from, its name, and its schema."""

    source: str
    name: str
    schema: Schema


class _InsertField(OnePart):
    DOC = "Put in fields with what is known of the record, or with a fixed text."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("topic.field", ConfigType.STRING, None, Importance.MEDIUM,
                f"The name of the field for the topic. {_SUFFIX}")
        .define("partition.field", ConfigType.STRING, None, Importance.MEDIUM,
                f"The name of the field for the partition. {_SUFFIX}")
        .define("offset.field", ConfigType.STRING, None, Importance.MEDIUM,
                f"The name of the field for the offset, which only sinks' records have. {_SUFFIX}")
        .define("timestamp.field", ConfigType.STRING, None, Importance.MEDIUM,
                f"The name of the field for the timestamp. {_SUFFIX}")
        .define("static.field", ConfigType.STRING, None, Importance.MEDIUM,
                f"The name of the field for `static.value`. {_SUFFIX}")
        .define("static.value", ConfigType.STRING, None, Importance.MEDIUM, "The text for `static.field`.")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._static: Final = self.settings.optional_string("static.value")
        self._inserted: Final = [
            _inserted(source, schema, name)
            for source, schema in _INSERTED.items()
            if (name := self.settings.optional_string(f"{source}.field")) is not None
        ]
        if not self._inserted:
            raise ConfigError("No field insertion configured")
        static = self.settings.optional_string("static.field")
        if static is not None and self._static is None:
            raise invalid("static.value", None, f"No value specified for static field: {static}")
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if value is None:
            return record
        if schema is None:
            fields = dict(require_map(value, "field insertion"))
            for one in self._inserted:
                found = self._found(one.source, record)
                if found is not None or one.source == "topic":
                    fields[one.name] = found
            return self.write(record, None, fields)
        struct = require_struct(value, "field insertion")
        result = Struct(self._schemas[struct.schema])
        for field in struct.schema.fields:
            result[field.name] = field_value(self.settings, struct, field)
        for one in self._inserted:
            found = self._found(one.source, record)
            if one.source == "timestamp" and isinstance(found, int):
                result[one.name] = timestamp_from_millis(found)
            elif found is not None:
                result[one.name] = found
        return self.write(record, result.schema, result)

    def _found(self, source: str, record: ConnectRecord) -> str | int | None:
        if source == "topic":
            return record.topic
        if source == "partition":
            return record.partition
        if source == "timestamp":
            return record.timestamp
        if source == "static":
            return self._static
        if not isinstance(record, SinkRecord):
            raise DataError(
                f"Only SinkRecord supported for [field insertion], found: {type(record).__name__}"
            )
        return record.offset

    def _schema(self, schema: Schema) -> Schema:
        fields = [(field.name, field.schema) for field in schema.fields]
        fields += [(one.name, one.schema) for one in self._inserted]
        return schema.replace(fields=fields, optional=False, without_default=True)


def _inserted(source: str, schema: Schema, name: str) -> _Inserted:
    required = name.endswith("!")
    name = name[:-1] if name.endswith(("!", "?")) else name
    return _Inserted(source, name, schema if required else schema.replace(optional=True))


class InsertFieldKey(_InsertField):
    """Of the key."""

    PART = Part.KEY


class InsertFieldValue(_InsertField):
    """Of the value."""

    PART = Part.VALUE


class _MaskField(OnePart):
    DOC = "Hide fields behind nothing: 0, false, an empty text or list; or behind a replacement."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("fields", ConfigType.LIST, REQUIRED, Importance.HIGH, "The fields to hide.",
                validator=ValidList(empty=False))
        .define("replacement", ConfigType.STRING, None, Importance.LOW,
                "What stands in their place, in numbers and texts.", validator=NonEmptyString())
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._names: Final = tuple(self.settings.list("fields"))
        self._replacement: Final = self.settings.optional_string("replacement")

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if schema is None:
            fields = require_map(value, "mask fields")
            masked: dict[Value, Value] = {name: self._masked(None, fields.get(name)) for name in self._names}
            return self.write(record, None, {**fields, **masked})
        struct = require_struct(value, "mask fields")
        result = Struct(struct.schema)
        for field in struct.schema.fields:
            own = field_value(self.settings, struct, field)
            result[field.name] = self._masked(field.schema, own) if field.name in self._names else own
        return self.write(record, schema, result)

    def _masked(self, schema: Schema | None, value: Value) -> Value:
        if value is None:
            return None
        return _nothing(schema, value) if self._replacement is None else self._replaced(schema, value)

    def _replaced(self, schema: Schema | None, value: Value) -> Value:
        if isinstance(value, str):
            return self._replacement
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise DataError(f"Cannot mask value of type {type(value).__name__} with custom replacement.")
        if isinstance(value, Decimal):
            target = Schema(Type.BYTES, name=DECIMAL_NAME, parameters={"scale": "0"})
        else:
            target = schema or (INT64 if isinstance(value, int) else FLOAT64)
        return convert(target, None, self._replacement)


def _nothing(schema: Schema | None, value: Value) -> Value:
    if isinstance(value, bool | int | float | str | list | dict):
        return type(value)()
    if isinstance(value, Decimal):
        scale = scale_of(schema) if schema is not None and schema.name == DECIMAL_NAME else 0
        return Decimal((0, (0,), -scale))
    if isinstance(value, dt.datetime):
        return EPOCH
    if isinstance(value, dt.date):
        return EPOCH.date()
    if isinstance(value, dt.time):
        return dt.time()
    raise DataError(f"Cannot mask value of type: {type(value).__name__}")


class MaskFieldKey(_MaskField):
    """Of the key."""

    PART = Part.KEY


class MaskFieldValue(_MaskField):
    """Of the value."""

    PART = Part.VALUE


class _SetSchemaMetadata(OnePart):
    DOC = "Give the schema a name, a version, or both."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("schema.name", ConfigType.STRING, None, Importance.HIGH, "The schema's name.")
        .define("schema.version", ConfigType.INT, None, Importance.HIGH, "The schema's version.")
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._name: Final = self.settings.optional_string("schema.name")
        self._version: Final = self.settings.optional_integer("schema.version")
        if self._name is None and self._version is None:
            raise ConfigError("Neither schema name nor version configured")
        self._schemas: Final = Remembered[Schema, Schema](
            lambda schema: schema.replace(name=self._name, version=self._version)
        )

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if schema is None:
            if value is None:
                return record
            raise DataError("Schema required for [updating schema metadata]")
        updated = self._schemas[schema]
        if not isinstance(value, Struct):
            return self.write(record, updated, value)
        result = Struct(updated)
        for field in value.schema.fields:
            result[field.name] = field_value(self.settings, value, field)
        return self.write(record, updated, result)


class SetSchemaMetadataKey(_SetSchemaMetadata):
    """Of the key."""

    PART = Part.KEY


class SetSchemaMetadataValue(_SetSchemaMetadata):
    """Of the value."""

    PART = Part.VALUE
