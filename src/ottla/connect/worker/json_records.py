"""JSON as Kafka's JsonConverter writes it without schemas: compact, UTF-8, in the order of the fields."""

from __future__ import annotations

import json
from typing import Final

_MAX_BYTES: Final = 64 << 20


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def load(data: bytes) -> object:
    """ValueError for what is no JSON, or is too long or nested too deeply."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{len(data)} bytes of JSON")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def load_object(data: bytes) -> dict[str, object] | None:
    """None for anything but a JSON object."""
    try:
        value = load(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
