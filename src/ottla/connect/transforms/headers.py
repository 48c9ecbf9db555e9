"""What is done with headers: DropHeaders, InsertHeader, HeaderFrom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, Struct
from ottla.connect.data.values import parse_text
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectHeaders
from ottla.connect.transforms.interface import (
    OnePart,
    Part,
    Record,
    Transformation,
    define_null_replacement,
    field_value,
    require_map,
    require_struct,
)
from ottla.connect.validators import NonEmptyList, NonNull, OneOf, ValidList

__all__ = ["DropHeaders", "HeaderFromKey", "HeaderFromValue", "InsertHeader"]


class DropHeaders(Transformation):
    """Records without some headers."""

    DOC = "Remove headers."
    CONFIG: ClassVar = ConfigDef().define(
        "headers",
        ConfigType.LIST,
        REQUIRED,
        Importance.HIGH,
        "The names of the headers.",
        validator=ValidList(empty=False),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._names: Final = frozenset(self.settings.list("headers"))

    def apply(self, record: Record) -> Record:
        kept = ConnectHeaders(header for header in record.headers if header.key not in self._names)
        return record.replace(headers=kept)


class InsertHeader(Transformation):
    """Records with one more header."""

    DOC = "Add a header."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("header", ConfigType.STRING, REQUIRED, Importance.HIGH, "The header's name.",
                validator=NonNull())
        .define("value.literal", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "The header's value: a number, a time, an array and so on if it looks so, else a text.",
                validator=NonNull())
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._name: Final = self.settings.string("header")
        self._value: Final = parse_text(self.settings.string("value.literal"))

    def apply(self, record: Record) -> Record:
        headers = record.headers.duplicate()
        headers.add(self._name, self._value.value, self._value.schema)
        return record.replace(headers=headers)


class _HeaderFrom(OnePart):
    DOC = "Copy or move fields into headers."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("fields", ConfigType.LIST, REQUIRED, Importance.HIGH, "The fields.", validator=NonEmptyList())
        .define("headers", ConfigType.LIST, REQUIRED, Importance.HIGH,
                "The headers' names, in the order of the fields.", validator=NonEmptyList())
        .define("operation", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "`move` takes the fields away, `copy` leaves them where they are.",
                validator=OneOf("move", "copy"))
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._fields: Final = self.settings.list("fields")
        self._headers: Final = self.settings.list("headers")
        if len(self._fields) != len(self._headers):
            raise ConfigError("'fields' config must have the same number of elements as 'headers' config.")
        self._operation: Final = self.settings.string("operation")
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        moves, purpose = self._operation == "move", f"header {self._operation}"
        headers = record.headers.duplicate()
        pairs = zip(self._fields, self._headers, strict=True)
        if schema is None:
            fields = require_map(value, purpose)
            for name, header in pairs:
                headers.add(header, fields.get(name))
            kept = {name: one for name, one in fields.items() if not moves or name not in self._fields}
            return self.write(record, None, kept, headers)
        struct = require_struct(value, purpose)
        for name, header in pairs:
            field = struct.schema.field(name)
            if field is None:
                raise DataError(f"Unknown field: {name}")
            headers.add(header, field_value(self.settings, struct, field), field.schema)
        if not moves:
            return self.write(record, schema, struct, headers)
        result = Struct(self._schemas[schema])
        for field in struct.schema.fields:
            if field.name not in self._fields:
                result[field.name] = field_value(self.settings, struct, field)
        return self.write(record, result.schema, result, headers)

    def _schema(self, schema: Schema) -> Schema:
        fields = [(field.name, field.schema) for field in schema.fields if field.name not in self._fields]
        return schema.replace(fields=fields, optional=False, without_default=True)


class HeaderFromKey(_HeaderFrom):
    """Of the key."""

    PART = Part.KEY


class HeaderFromValue(_HeaderFrom):
    """Of the value."""

    PART = Part.VALUE
