"""JSON as UTF-8, compact, one value a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ottla.streams.errors import SerializationError

if TYPE_CHECKING:
    import pyarrow as pa

JsonValue = Any
"""What JSON can say: None, bool, int, float, str, lists, and dicts with keys of text."""


class Json:
    """Any JSON. A schema (a `pyarrow.Schema`, or an Arrow type) says what columnar stages decode values into;
    functions see what they see without. Keys of objects keep their order. None is a tombstone, not null."""

    __slots__ = ("_encode", "decode", "schema")

    def __init__(self, schema: pa.Schema | pa.DataType | None = None) -> None:
        try:
            import msgspec.json
        except ImportError as error:
            raise SerializationError("Json needs msgspec: pip install 'ottla[streams]'") from error
        self.schema = schema
        self.decode: Callable[[bytes], JsonValue] = msgspec.json.Decoder().decode
        """Raises ValueError or RecursionError for what is no JSON."""
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def serialize(self, topic: str, value: JsonValue) -> bytes | None:
        if value is None:
            return None
        try:
            return self._encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SerializationError(f"Json does not take {value!r:.200}: {error}") from None

    def deserialize(self, topic: str, data: bytes | None) -> JsonValue:
        if data is None:
            return None
        try:
            return self.decode(data)
        except (ValueError, RecursionError) as error:
            raise SerializationError(f"no JSON: {error}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and self.schema == other.schema

    def __hash__(self) -> int:
        return hash(Json)

    def __repr__(self) -> str:
        return "Json()" if self.schema is None else f"Json({self.schema})"
