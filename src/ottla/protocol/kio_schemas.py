"""The schemas of Kafka's requests and responses, read from kio's generated dataclasses.

kio gives durations and timestamps Python types and drops `_ms` from their names; here they are plain integers
under Kafka's own name again. Modules are imported at first use, one API version at a time: all of them
together take the better part of a second.

Only the descriptions are kio's. Its native reader is not used for what clients send: it reserves memory for
as many elements as an array claims to have, and a request of ten bytes can so end the process.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from dataclasses import Field as DataclassField
from datetime import datetime, timedelta
from functools import cache
from pkgutil import resolve_name
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from kio.schema.index import api_key_map, schema_name_map
from kio.static.constants import EntityType

from ottla.protocol.additions import ADDITIONS
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.schema import Field, Struct, zero_value

API_VERSIONS_KEY: Final = 18

_INTEGER_TYPES: Final = {
    "error_code": "int16",
    "timedelta_i32": "int32",
    "timedelta_i64": "int64",
    "datetime_i64": "int64",
}
_MILLISECOND: Final = timedelta(milliseconds=1)
_flexible: Final[dict[tuple[int, int], bool]] = {}


def api_name(api_key: int) -> str:
    """Kafka's name in snake case; KafkaError(unsupported_version) for a key that no API has."""
    try:
        return api_key_map[api_key]
    except KeyError:
        raise KafkaError(ErrorCode.unsupported_version, f"there is no API {api_key}") from None


@cache
def known_versions(api_key: int) -> range:
    """The versions of an API that have a schema."""
    versions = [
        version
        for version, entities in schema_name_map[api_name(api_key)].items()
        if EntityType.request in entities and EntityType.response in entities
    ]
    versions += ADDITIONS.get(api_key, ())
    return range(min(versions), max(versions) + 1)


def is_flexible(api_key: int, version: int) -> bool:
    """Whether requests of this version are flexible (KIP-482); versions beyond the known ones are as the
    nearest."""
    known = _flexible.get((api_key, version))
    if known is None:
        versions = known_versions(api_key)
        nearest = min(max(version, versions[0]), versions[-1])
        known = request_struct(api_key, nearest).flexible
        if nearest == version:  # not the others, of which a client can make up any number
            _flexible[api_key, version] = known
    return known


@cache
def request_struct(api_key: int, version: int) -> Struct:
    """KafkaError(unsupported_version) where there is no such version."""
    addition = ADDITIONS.get(api_key, {}).get(version)
    return addition.request.at(version) if addition else _kio_struct(api_key, version, EntityType.request)


@cache
def response_struct(api_key: int, version: int) -> Struct:
    """KafkaError(unsupported_version) where there is no such version."""
    addition = ADDITIONS.get(api_key, {}).get(version)
    return addition.response.at(version) if addition else _kio_struct(api_key, version, EntityType.response)


def _kio_struct(
    api_key: int, version: int, type_: Literal[EntityType.request, EntityType.response]
) -> Struct:
    name = api_name(api_key)
    if version not in known_versions(api_key):
        raise KafkaError(ErrorCode.unsupported_version, f"{name} has no version {version}")
    return _struct(resolve_name(schema_name_map[name][version][type_]))


def _struct(entity: Any) -> Struct:
    return Struct(entity.__name__, bool(entity.__flexible__), tuple(_field(each) for each in fields(entity)))


def _field(described: DataclassField[Any]) -> Field:
    type_, nullable = _without_none(described.type)
    array = get_origin(type_) is tuple
    if array:
        type_, _ = _without_none(get_args(type_)[0])
    nested = _struct(type_) if is_dataclass(type_) else None
    kafka_type = "struct" if nested is not None else described.metadata["kafka_type"]
    neutral_type = _INTEGER_TYPES.get(kafka_type, kafka_type)
    # The zero UUID and the timestamp -1 are None in kio, which is no null on the wire.
    nullable = nullable and (array or neutral_type in ("string", "bytes", "records", "struct"))
    if described.default is MISSING or (nested is not None and not array and described.default is not None):
        default = zero_value(neutral_type, array=array, nullable=nullable)
    else:
        default = _neutral_default(described.default, kafka_type)
    return Field(
        name=described.name + ("_ms" if kafka_type.startswith(("timedelta", "datetime")) else ""),
        type=neutral_type,
        array=array,
        nullable=nullable,
        default=default,
        tag=described.metadata.get("tag"),
        struct=nested,
    )


def _without_none(type_: Any) -> tuple[Any, bool]:
    alternatives = get_args(type_)
    if NoneType not in alternatives:
        return type_, False
    return next(each for each in alternatives if each is not NoneType), True


def _neutral_default(default: Any, kafka_type: str) -> Any:
    if isinstance(default, timedelta):
        return default // _MILLISECOND
    if kafka_type == "datetime_i64":
        return round(default.timestamp() * 1000) if isinstance(default, datetime) else -1
    if isinstance(default, int) and not isinstance(default, bool):
        return int(default)
    return default
