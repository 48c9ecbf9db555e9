"""Records as actions of the bulk API, and the mappings that their schemas say; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.connect.connectors.payloads import document_json, document_of, key_text, named
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Type,
    Value,
)
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord

__all__ = ["Writing", "action", "index_of", "mapping"]

_TIMESTAMP: Final = "@timestamp"
_FORBIDDEN: Final = ' "*\\<|,>/?#'
_TYPES: Final[Mapping[Type, str]] = {
    Type.INT8: "byte", Type.INT16: "short", Type.INT32: "integer", Type.INT64: "long", Type.FLOAT32: "float",
    Type.FLOAT64: "double", Type.BOOLEAN: "boolean", Type.BYTES: "binary",
}  # fmt: skip
_LOGICAL: Final = {DECIMAL_NAME: "double", DATE_NAME: "date", TIME_NAME: "keyword", TIMESTAMP_NAME: "date"}


class Writing(NamedTuple):
    """What the settings say of documents."""

    index_name: str
    """With `${topic}` in it"""
    ignores_keys: bool
    ignored_topics: frozenset[str]
    """Whose keys are ignored"""
    upserts: bool
    generates_ids: bool
    is_stream: bool
    version_header: str | None
    timestamp_fields: tuple[str, ...]


def index_of(writing: Writing, record: SinkRecord) -> str:
    """DataError for a name that no index can have."""
    name = named(writing.index_name, record).lower()
    if name.startswith(("-", "_", "+")) or name in ("", ".", "..") or any(one in name for one in _FORBIDDEN):
        raise DataError(f"no index can be called {name!r}")
    return name


def action(writing: Writing, record: SinkRecord) -> bytes:
    """Lines of a bulk request. DataError."""
    by_key = not writing.ignores_keys and record.topic not in writing.ignored_topics
    index, place = index_of(writing, record), f"{record.topic}+{record.partition or 0}+{record.offset}"
    target: dict[str, Value] = {"_index": index, "_id": key_text(record) if by_key else place}
    if len(str(target["_id"]).encode()) > 512:
        raise DataError("the record's key has more than 512 bytes, which no id of a document may have")
    if by_key and not writing.is_stream and not (writing.upserts and record.value is not None):
        target |= {"version": _version(writing, record), "version_type": "external"}
    if record.value is None:
        if not by_key:
            raise DataError("a record without a value names no document where keys are ignored")
        return document_json({"delete": target}) + b"\n"
    document = document_of(record)
    if writing.is_stream:
        return _line("create", target, _with_timestamp(writing, record, document))
    if writing.upserts and by_key:
        target["retry_on_conflict"] = 3
        return _line("update", target, {"doc": document, "doc_as_upsert": True})
    if writing.generates_ids and not by_key:
        del target["_id"]
    return _line("index", target, document)


def _line(kind: str, target: Mapping[str, Value], document: Mapping[str, Value]) -> bytes:
    return document_json({kind: target}) + b"\n" + document_json(document) + b"\n"


def _version(writing: Writing, record: SinkRecord) -> int:
    """So that what is older never replaces what is newer, whenever it comes."""
    if writing.version_header is None:
        return record.offset
    header = record.headers.last_with_name(writing.version_header)
    value = None if header is None else header.value
    try:
        return int(value) if isinstance(value, int | str) else int(str(value))
    except ValueError:
        raise DataError(f"external.version.header={writing.version_header}: {value!r} is no number") from None


def _with_timestamp(writing: Writing, record: SinkRecord, document: dict[str, Value]) -> dict[str, Value]:
    """A data stream needs one: a field's, or the record's."""
    if document.get(_TIMESTAMP) is not None:
        return document
    found = (document[name] for name in writing.timestamp_fields if document.get(name) is not None)
    return {**document, _TIMESTAMP: next(found, record.timestamp or 0)}


def mapping(schema: Schema) -> dict[str, object]:
    """Of an index whose documents have this schema."""
    if schema.name in _LOGICAL:
        return {"type": _LOGICAL[schema.name]}
    if schema.type is Type.STRUCT:
        return {"properties": {field.name: mapping(field.schema) for field in schema.struct_fields}}
    if schema.type is Type.ARRAY:  # documents know none: a field has one value or several
        return {} if schema.value_schema is None else mapping(schema.value_schema)
    if schema.type is Type.MAP:
        return {"type": "object"}
    if schema.type is Type.STRING:
        return {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    return {"type": _TYPES[schema.type]}
