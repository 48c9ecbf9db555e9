"""TimestampConverter: times as texts, as numbers, or as Connect's types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import ClassVar, Final

from ottla.connect.data.logical import (
    DATE,
    MILLIS_PER_DAY,
    TIME,
    TIMESTAMP,
    date_from_days,
    days_of_date,
    millis_of_time,
    millis_of_timestamp,
    time_from_millis,
    timestamp_from_millis,
)
from ottla.connect.data.numbers import wrap
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import (
    DATE_NAME,
    RANGES,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Struct,
    Type,
    Value,
)
from ottla.connect.data.schemas import INT64, STRING
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError
from ottla.connect.transforms.dates import DateFormat
from ottla.connect.transforms.interface import (
    OnePart,
    Part,
    Record,
    define_null_replacement,
    field_value,
    require_map,
    require_struct,
)
from ottla.connect.validators import OneOf

__all__ = ["TimestampConverterKey", "TimestampConverterValue"]

_PURPOSE: Final = "converting timestamp formats"
_TARGETS: Final[Mapping[str, Schema]] = {
    "string": STRING,
    "unix": INT64,
    "Date": DATE,
    "Time": TIME,
    "Timestamp": TIMESTAMP,
}
_NANOS: Final[Mapping[str, int]] = {
    "nanoseconds": 1,
    "microseconds": 1_000,
    "milliseconds": 1_000_000,
    "seconds": 1_000_000_000,
}


class _TimestampConverter(OnePart):
    DOC = (
        "Write times in another way: as texts, as numbers since 1970, or as Connect's Date, Time, Timestamp."
    )
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("field", ConfigType.STRING, "", Importance.HIGH,
                "The field with the time; empty where the whole is one.")
        .define("target.type", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "What it becomes.", validator=OneOf(*_TARGETS))
        .define("format", ConfigType.STRING, "", Importance.MEDIUM,
                "How times are written in texts that are read or made: in the letters of Java's "
                "SimpleDateFormat.")
        .define("unix.precision", ConfigType.STRING, "milliseconds", Importance.LOW,
                "The unit of numbers that are read or made. What is finer than a millisecond is lost.",
                validator=OneOf(*_NANOS))
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._field: Final = self.settings.string("field")
        self._target: Final = self.settings.string("target.type")
        self._nanos: Final = _NANOS[self.settings.string("unix.precision")]
        pattern = self.settings.string("format")
        if self._target == "string" and not pattern:
            raise ConfigError(
                "TimestampConverter requires format option to be specified when using string timestamps"
            )
        self._format: Final = DateFormat(pattern) if pattern else None
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if schema is None:
            if value is None or not self._field:
                return self.write(record, None, self._converted(None, value))
            fields = require_map(value, _PURPOSE)
            changed = self._converted(None, fields.get(self._field))
            return self.write(record, None, {**fields, self._field: changed})
        if not self._field:
            _check_source(schema)
            return self.write(record, self._retyped(schema), self._converted(schema, value))
        struct = None if value is None else require_struct(value, _PURPOSE)
        updated = self._schemas[schema]
        return self.write(record, updated, None if struct is None else self._struct(struct, updated))

    def _retyped(self, schema: Schema) -> Schema:
        return _TARGETS[self._target].replace(optional=schema.optional)

    def _schema(self, schema: Schema) -> Schema:
        fields = [
            (field.name, self._retyped(field.schema) if field.name == self._field else field.schema)
            for field in schema.fields
        ]
        updated = schema.replace(fields=fields, without_default=True)
        default = schema.default
        return (
            updated.replace(default=self._struct(default, updated))
            if isinstance(default, Struct)
            else updated
        )

    def _struct(self, struct: Struct, updated: Schema) -> Struct:
        result = Struct(updated)
        for field in struct.schema.fields:
            value = field_value(self.settings, struct, field)
            if field.name == self._field:
                _check_source(field.schema)
                value = self._converted(field.schema, value)
            result[field.name] = value
        return result

    def _converted(self, schema: Schema | None, value: Value) -> Value:
        return None if value is None else self._written(self._millis(schema, value))

    def _millis(self, schema: Schema | None, value: Value) -> int:
        if isinstance(value, dt.datetime):
            return millis_of_timestamp(value)
        if isinstance(value, dt.date):
            return days_of_date(value) * MILLIS_PER_DAY
        if isinstance(value, dt.time):
            return millis_of_time(value)
        if isinstance(value, str):
            if self._format is None:
                raise DataError(f"a text is no time without `format`: {value}")
            return millis_of_timestamp(self._format.parse(value))
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (schema is None or schema.type is Type.INT64)
        ):
            nanos = abs(value) * self._nanos // 1_000_000
            return nanos if value >= 0 else -nanos
        raise DataError(f"TimestampConverter does not support {type(value).__name__} objects as timestamps")

    def _written(self, millis: int) -> Value:
        if self._target == "unix":
            number = abs(millis) * 1_000_000 // self._nanos
            number = number if millis >= 0 else -number
            return min(max(number, RANGES[Type.INT64][0]), RANGES[Type.INT64][-1])
        if self._target == "Date":
            return date_from_days(wrap(millis // MILLIS_PER_DAY, Type.INT32))
        if self._target == "Time":
            return time_from_millis(millis % MILLIS_PER_DAY)
        moment = timestamp_from_millis(millis)
        if self._target == "Timestamp":
            return moment
        assert self._format is not None  # or there is no such transform
        return self._format.format(moment)


def _check_source(schema: Schema) -> None:
    known = schema.name in (DATE_NAME, TIME_NAME, TIMESTAMP_NAME)
    if not known and schema.type not in (Type.STRING, Type.INT64):
        raise ConnectError(f"Schema {schema} does not correspond to a known timestamp type format")


class TimestampConverterKey(_TimestampConverter):
    """Of the key."""

    PART = Part.KEY


class TimestampConverterValue(_TimestampConverter):
    """Of the value."""

    PART = Part.VALUE
