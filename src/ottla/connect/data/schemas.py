"""Schemas ready made, and short ways to make those of arrays, maps and structs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ottla.connect.data.schema import Schema, Type

__all__ = [
    "BOOLEAN",
    "BYTES",
    "FLOAT32",
    "FLOAT64",
    "INT16",
    "INT32",
    "INT64",
    "INT8",
    "OPTIONAL_BOOLEAN",
    "OPTIONAL_BYTES",
    "OPTIONAL_FLOAT32",
    "OPTIONAL_FLOAT64",
    "OPTIONAL_INT16",
    "OPTIONAL_INT32",
    "OPTIONAL_INT64",
    "OPTIONAL_INT8",
    "OPTIONAL_STRING",
    "STRING",
    "array_of",
    "map_of",
    "struct_of",
]

INT8: Final = Schema(Type.INT8)
INT16: Final = Schema(Type.INT16)
INT32: Final = Schema(Type.INT32)
INT64: Final = Schema(Type.INT64)
FLOAT32: Final = Schema(Type.FLOAT32)
FLOAT64: Final = Schema(Type.FLOAT64)
BOOLEAN: Final = Schema(Type.BOOLEAN)
STRING: Final = Schema(Type.STRING)
BYTES: Final = Schema(Type.BYTES)
OPTIONAL_INT8: Final = Schema(Type.INT8, optional=True)
OPTIONAL_INT16: Final = Schema(Type.INT16, optional=True)
OPTIONAL_INT32: Final = Schema(Type.INT32, optional=True)
OPTIONAL_INT64: Final = Schema(Type.INT64, optional=True)
OPTIONAL_FLOAT32: Final = Schema(Type.FLOAT32, optional=True)
OPTIONAL_FLOAT64: Final = Schema(Type.FLOAT64, optional=True)
OPTIONAL_BOOLEAN: Final = Schema(Type.BOOLEAN, optional=True)
OPTIONAL_STRING: Final = Schema(Type.STRING, optional=True)
OPTIONAL_BYTES: Final = Schema(Type.BYTES, optional=True)


def array_of(element: Schema | None, *, optional: bool = False, name: str | None = None) -> Schema:
    """The schema of lists of such elements."""
    return Schema(Type.ARRAY, optional=optional, name=name, value_schema=element)


def map_of(
    key: Schema | None, value: Schema | None, *, optional: bool = False, name: str | None = None
) -> Schema:
    """The schema of dicts of such keys and values."""
    return Schema(Type.MAP, optional=optional, name=name, key_schema=key, value_schema=value)


def struct_of(
    fields: Mapping[str, Schema] | Iterable[tuple[str, Schema]],
    *,
    name: str | None = None,
    version: int | None = None,
    optional: bool = False,
    doc: str | None = None,
) -> Schema:
    """The schema of structs of these fields, in order."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return Schema(Type.STRUCT, optional=optional, name=name, version=version, doc=doc, fields=pairs)
