"""The Protobuf schema of an Arrow type that nobody declared."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_list, is_text
from ottla.client.values.interface import ValuesError

__all__ = ["message_name", "schema_text"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMPORTS: Final = {
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
    "google.protobuf.Duration": "google/protobuf/duration.proto",
}


def message_name(topic: str, part: str) -> str:
    """What the message of a topic's keys or values is called where nobody named it."""
    words = re.split(r"[^A-Za-z0-9]+", f"{topic}_{part}")
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return f"_{name}" if name[0].isdigit() else name


def schema_text(kind: pa.DataType, name: str) -> str:
    """A .proto file of one message that holds all values of `kind`. ValuesError where there is none."""
    if not pa.types.is_struct(kind):
        raise ValuesError(f"Protobuf values are messages, not {kind}: write columns")
    writer = _Writer()
    lines = writer.message(name, kind, "")
    imports = [f'import "{_IMPORTS[each]}";' for each in sorted(writer.used)]
    return "\n".join(['syntax = "proto3";', *imports, *lines, ""])


class _Writer:
    def __init__(self) -> None:
        self.used: set[str] = set()

    def message(self, name: str, kind: pa.DataType, indent: str) -> list[str]:
        inner: list[str] = []
        fields: list[str] = []
        for number, field in enumerate(kind, 1):
            fields += [f"{indent}  {self._field(field, number, inner, f'{indent}  ')}"]
        return [f"{indent}message {name} {{", *inner, *fields, f"{indent}}}"]

    def _field(self, field: pa.Field, number: int, inner: list[str], indent: str) -> str:
        if not _NAME.fullmatch(field.name):
            raise ValuesError(
                f"Protobuf takes no field {field.name!r}: letters, digits and _ only; rename it"
            )
        kind = _storage(field.type)
        # A message of the name of its field would be taken for the field's.
        name = f"{field.name[:1].upper()}{field.name[1:]}Type"
        if pa.types.is_map(kind):
            key = self._type(kind.key_type, name, inner, indent)
            if key in ("double", "float", "bytes") or "." in key or key == name:
                raise ValuesError(f"{field.name}: Protobuf has no map with keys of {kind.key_type}")
            return f"map<{key}, {self._type(kind.item_type, name, inner, indent)}> {field.name} = {number};"
        if is_list(kind):
            return f"repeated {self._type(kind.value_type, name, inner, indent)} {field.name} = {number};"
        written = self._type(kind, name, inner, indent)
        label = "optional " if field.nullable and "." not in written and written != name else ""
        return f"{label}{written} {field.name} = {number};"

    def _type(self, kind: pa.DataType, name: str, inner: list[str], indent: str) -> str:
        kind = _storage(kind)
        if pa.types.is_struct(kind):
            inner += self.message(name, kind, indent)
            return name
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            found = "google.protobuf." + ("Timestamp" if pa.types.is_timestamp(kind) else "Duration")
            self.used.add(found)
            return found
        return _scalar(kind)


def _storage(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storage(kind.value_type)
    return _storage(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def _scalar(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_unsigned_integer(kind):
        return "uint64" if kind.bit_width == 64 else "uint32"
    if pa.types.is_integer(kind):
        return "int64" if kind.bit_width == 64 else "int32"
    if pa.types.is_floating(kind):
        return "double" if kind.bit_width == 64 else "float"
    if is_text(kind):
        return "string"
    if is_binary(kind):
        return "bytes"
    raise ValuesError(f"Protobuf has no type for {kind}: cast the column")
