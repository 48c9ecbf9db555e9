"""What formats whose schemas live in a registry ask of it: Avro, Protobuf, JSON Schema. None is here yet.

A value is the byte 0, the schema's id as an int32, and the payload (Confluent's wire format). Decoding does
no I/O: ask the decoder which ids it `lacks` for a batch, get them, have it `learn` them, then decode.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal, Protocol

from ottla.client.values.interface import Decoder, ValuesError

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.columns.binary import BinaryColumn

__all__ = [
    "Reference",
    "Registry",
    "RegistryDecoder",
    "Schema",
    "frame",
    "RegistryEncoder",
    "lacking",
    "unframe",
]

_HEADER: Final = Struct(">bi")


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another uses: by `name` there, `version` of `subject` in the registry."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as a registry has it; `resolved` has the text of each reference by its name."""

    kind: Literal["AVRO", "PROTOBUF", "JSON"]
    text: str
    references: Sequence[Reference] = ()
    resolved: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """A schema registry. Both calls are cached: ids and what they stand for never change."""

    async def schema(self, schema_id: int) -> Schema:
        """The schema of an id. Raises `ClientError`."""

    async def id_of(self, subject: str, schema: Schema, *, register: bool = True) -> int:
        """The id of `schema` under `subject`, registered if need be and if allowed. Raises `ClientError`."""


class RegistryDecoder(Decoder, Protocol):
    """A decoder of framed values."""

    def lacks(self, column: BinaryColumn) -> Collection[int]:
        """The ids in `column` that it has no schema for."""

    def learn(self, schema_id: int, schema: Schema) -> None:
        """What an id stands for."""


class RegistryEncoder(Protocol):
    """Encodes for one subject; made when its schema has an id."""

    def encode(self, array: pa.Array, schema_id: int) -> BinaryColumn: ...


def frame(schema_id: int, payload: bytes) -> bytes:
    """`payload` as a value under a schema's id."""
    return _HEADER.pack(0, schema_id) + payload


def unframe(value: bytes) -> tuple[int, memoryview]:
    """A value's schema id and payload, not copied. Raises `ValuesError` where the frame is broken."""
    if len(value) < _HEADER.size:
        raise ValuesError(f"{len(value)} bytes are too few for a schema's id")
    magic, schema_id = _HEADER.unpack_from(value)
    if magic:
        raise ValuesError(
            f"the value begins with byte {value[0]} instead of 0: no schema's id is in front of it"
        )
    return schema_id, memoryview(value)[_HEADER.size :]


def lacking(values: Iterable[bytes | None], known: Collection[int]) -> list[int]:
    """The schema ids of `values` that are not `known`, each once, in the order in which they come."""
    found: dict[int, None] = {}
    for value in values:
        if value is not None and len(value) >= _HEADER.size and not value[0]:
            schema_id = _HEADER.unpack_from(value)[1]
            if schema_id not in known:
                found[schema_id] = None
    return list(found)
