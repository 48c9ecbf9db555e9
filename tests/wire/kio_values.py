"""Messages between kio's typed objects and the plain dicts of `ottla.protocol`, and strategies for both.

kio is the reference here: its writers and readers come from Kafka's schemas and share no code with ours.
"""

from __future__ import annotations

import datetime as dt
import io
import random
import uuid
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin

from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.schema.index import api_key_map, schema_name_map
from kio.serial import entity_reader, entity_writer

from ottla.protocol.messages import APIS
from ottla.protocol.wire import known_versions

MILLISECOND = dt.timedelta(milliseconds=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

RENAMED = {
    ("DirectoryData", "id_"): "id",
    ("StreamsGroupHeartbeatResponse", "acceptable_recovery_lag"): "acceptable_recovery_lag_legacy",
    ("TxnOffsetCommitRequest", "generation_id"): "generation_id_or_member_epoch",
}
"""What kio calls otherwise, whose definitions are older than ours."""


def is_known(api_key: int, version: int) -> bool:
    """Whether kio has it."""
    return version in schema_name_map.get(api_key_map.get(api_key, ""), {})


def all_versions() -> Iterator[tuple[int, int]]:
    """Every API and version that both kio and we know."""
    for api_key in APIS:
        for version in known_versions(api_key):
            if is_known(api_key, version):
                yield api_key, version


def request_class(api_key: int, version: int) -> Any:
    return load_request_schema(api_key, version)


def response_class(api_key: int, version: int) -> Any:
    return load_response_schema(api_key, version)


def kio_write(entity: Any) -> bytes:
    with io.BytesIO() as buffer:
        entity_writer(type(entity))(buffer, entity)
        return buffer.getvalue()


def kio_read(class_: Any, encoded: bytes) -> Any:
    entity, size = entity_reader(class_)(encoded, 0)
    assert size == len(encoded)
    return entity


def neutral_name(class_: type, field: Field[Any]) -> str:
    kafka_type = field.metadata.get("kafka_type", "")
    name = field.name + ("_ms" if kafka_type.startswith(("timedelta", "datetime")) else "")
    return RENAMED.get((class_.__name__, name), name)


def _shape(field: Field[Any]) -> tuple[Any, bool, bool]:
    """The type without None and tuple, whether it is an array, whether the wire allows null."""
    type_, optional = _without_none(field.type)
    array = get_origin(type_) is tuple
    if array:
        type_, _ = _without_none(get_args(type_)[0])
    kafka_type = field.metadata.get("kafka_type", "struct")
    nullable = optional and (array or kafka_type in ("string", "bytes", "records", "struct"))
    return type_, array, nullable


def _without_none(type_: Any) -> tuple[Any, bool]:
    found = get_args(type_)
    return (
        (next(each for each in found if each is not NoneType), True) if NoneType in found else (type_, False)
    )


def _integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.just("é" * 130)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int8": _integers(8),
    "int16": _integers(16),
    "uint16": st.integers(0, 65535),
    "int32": _integers(32),
    "int64": _integers(64),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "string": _TEXT,
    "bytes": st.binary(max_size=8) | st.just(b"x" * 200),
    "records": st.binary(max_size=8) | st.just(b"x" * 70_000),
    "uuid": st.none() | st.uuids(),
    "error_code": st.sampled_from([int(code) for code in ErrorCode]),
    "timedelta_i32": _integers(32),
    # Whole seconds: kio computes these in floating point and loses a millisecond of a large one.
    "timedelta_i64": st.integers(-(10**11), 10**11).map(lambda seconds: seconds * 1000),
    "datetime_i64": st.integers(0, 10**11).map(lambda seconds: seconds * 1000),
}


def messages(class_: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Dicts for one of kio's classes, complete."""
    return st.fixed_dictionaries({neutral_name(class_, field): _values(field) for field in fields(class_)})


def _values(field: Field[Any]) -> st.SearchStrategy[Any]:
    type_, array, nullable = _shape(field)
    values = messages(type_) if is_dataclass(type_) else _SCALARS[field.metadata["kafka_type"]]
    if array:
        values = st.lists(values, max_size=2)
    if field.metadata.get("tag") is not None:
        return values  # kio cannot write null in a tagged field
    return st.none() | values if nullable else values


def to_kio(class_: Any, message: dict[str, Any]) -> Any:
    return class_(
        **{field.name: _to_kio(field, message[neutral_name(class_, field)]) for field in fields(class_)}
    )


def _to_kio(field: Field[Any], value: Any) -> Any:
    type_, array, _ = _shape(field)
    if value is None:
        return None
    if array:
        return tuple(to_kio(type_, each) if is_dataclass(type_) else each for each in value)
    if is_dataclass(type_):
        return to_kio(type_, value)
    kafka_type = field.metadata["kafka_type"]
    if kafka_type.startswith("timedelta"):
        return value * MILLISECOND
    if kafka_type == "datetime_i64":
        return EPOCH + value * MILLISECOND
    return ErrorCode(value) if kafka_type == "error_code" else value


def from_kio(entity: Any) -> dict[str, Any]:
    class_ = type(entity)
    return {neutral_name(class_, field): _from_kio(getattr(entity, field.name)) for field in fields(entity)}


def _from_kio(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_from_kio(each) for each in value]
    if is_dataclass(value):
        return from_kio(value)
    if isinstance(value, dt.timedelta):
        return value // MILLISECOND
    if isinstance(value, dt.datetime):
        return (value - EPOCH) // MILLISECOND
    return int(value) if isinstance(value, ErrorCode) else value


def full(class_: Any, chance: random.Random) -> Any:
    """An object of a kio class with something in every field."""
    return to_kio(class_, _full(class_, chance))


def _full(class_: Any, chance: random.Random) -> dict[str, Any]:
    return {neutral_name(class_, field): _full_value(field, chance) for field in fields(class_)}


def _full_value(field: Field[Any], chance: random.Random) -> Any:
    type_, array, _ = _shape(field)
    if is_dataclass(type_):
        value: Any = _full(type_, chance)
    else:
        value = {
            "bool": True,
            "float64": 1.5,
            "string": "text",
            "bytes": b"bytes",
            "records": b"records",
            "uuid": uuid.UUID(int=chance.getrandbits(128)),
        }.get(field.metadata["kafka_type"], chance.randrange(1, 100))
    return [value] if array else value
