"""Records as documents: BSON's types, and what their `_id` is."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from ottla.connect.connectors.payloads import document_of, parsed_json, plain
from ottla.connect.data.schema import Struct, Value
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord

__all__ = ["ID_STRATEGIES", "bson_document", "document_id", "of_key"]

_MAX_LONG: Final = 2**63


def bson_document(record: SinkRecord) -> dict[str, Any]:
    """A value as a document: of a struct, a map, or a text in (extended) JSON. DataError."""
    if isinstance(record.value, str):
        return _from_text(record.value)
    return {name: bson(value) for name, value in document_of(record).items()}


def _from_text(text: str) -> dict[str, Any]:
    from bson import json_util
    from bson.errors import BSONError

    parsed_json(text.encode("utf-8", "surrogatepass"))  # bounds, and a clear error
    try:
        document = json_util.loads(text)
    except (BSONError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"the text is no document in extended JSON: {error}") from None
    if not isinstance(document, dict):
        raise DataError("a document is an object: a struct, a map, or a text that is one in JSON")
    return document


def bson(value: Value) -> Any:
    """DataError for what BSON has not."""
    from bson.decimal128 import Decimal128
    from bson.errors import BSONError

    if isinstance(value, dict):
        return {name: bson(one) for name, one in value.items()}
    if isinstance(value, list):
        return [bson(one) for one in value]
    if isinstance(value, Decimal):
        try:
            return Decimal128(value)
        except (BSONError, ArithmeticError, ValueError) as error:
            raise DataError(f"the decimal {value} is larger than MongoDB's: {error}") from None
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if isinstance(value, dt.time):
        return dt.datetime.combine(dt.date(1970, 1, 1), value, tzinfo=dt.UTC)
    if isinstance(value, int) and not isinstance(value, bool) and not -_MAX_LONG <= value < _MAX_LONG:
        raise DataError(f"the number {value} has more than 64 bits")
    return value


def of_key(record: SinkRecord) -> Any:
    """The key as a document, or as the value that it is. DataError where there is none."""
    if record.key is None:
        raise DataError("the record has no key, which document.id.strategy takes the _id from")
    if isinstance(record.key, Struct | dict):
        return bson(plain(record.key))
    if isinstance(record.key, str) and record.key.startswith("{"):
        return _from_text(record.key)
    return bson(record.key)


def _of_place(record: SinkRecord) -> Any:
    """The same one for a record that comes again; in the order of time, as the servers make them."""
    from bson import ObjectId

    stamp = record.timestamp or 0
    place = f"{record.original_topic}\0{record.original_partition}\0{record.original_offset}\0{stamp}"
    seconds = min(max(stamp // 1000, 0), 2**32 - 1)
    return ObjectId(seconds.to_bytes(4, "big") + hashlib.sha256(place.encode()).digest()[:8])


def _provided(found: Any, what: str) -> Any:
    if not isinstance(found, Mapping) or found.get("_id") is None:
        raise DataError(f"the record's {what} has no _id, which document.id.strategy takes")
    return found["_id"]


def _partial(found: Any, fields: Sequence[str], is_allowed: bool) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise DataError("document.id.strategy takes fields, and there are none")
    if not is_allowed:
        return {name: value for name, value in found.items() if name not in fields}
    missing = [name for name in fields if name not in found]
    if missing:
        raise DataError(f"there is no field {missing[0]}, which document.id.strategy takes")
    return {name: found[name] for name in fields}


Projection = tuple[Sequence[str], bool]
_Id = Callable[[SinkRecord, Mapping[str, Any], Projection], Any]

ID_STRATEGIES: Final[Mapping[str, _Id]] = {
    "BsonOidStrategy": lambda record, _value, _fields: _of_place(record),
    "KafkaMetaDataStrategy": lambda record, _value, _fields: (
        f"{record.topic}#{record.partition}#{record.offset}"
    ),
    "FullKeyStrategy": lambda record, _value, _fields: of_key(record),
    "ProvidedInKeyStrategy": lambda record, _value, _fields: _provided(of_key(record), "key"),
    "ProvidedInValueStrategy": lambda _record, value, _fields: _provided(value, "value"),
    "PartialKeyStrategy": lambda record, _value, fields: _partial(of_key(record), *fields),
    "PartialValueStrategy": lambda _record, value, fields: _partial(value, *fields),
    "UuidStrategy": lambda _record, _value, _fields: str(uuid.uuid4()),
}
"""Where a document's `_id` is from, by the last part of the classes' names"""


def document_id(strategy: str, record: SinkRecord, value: Mapping[str, Any], projection: Projection) -> Any:
    """DataError where the record has none."""
    return ID_STRATEGIES[strategy](record, value, projection)
