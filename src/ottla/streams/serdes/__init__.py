"""How keys and values become bytes, the bytes being those of Kafka's own serdes."""

from ottla.streams.serdes.json import Json
from ottla.streams.serdes.lists import List
from ottla.streams.serdes.scalars import (
    UUID,
    Boolean,
    Bytes,
    Double,
    Float,
    Integer,
    Long,
    Short,
    Text,
)
from ottla.streams.serdes.serde import Serde
from ottla.streams.serdes.wrapping import ChangeSerde, SessionWindowedSerde, TimeWindowedSerde

__all__ = [
    "UUID",
    "Boolean",
    "Bytes",
    "ChangeSerde",
    "Double",
    "Float",
    "Integer",
    "Json",
    "List",
    "Long",
    "Serde",
    "SessionWindowedSerde",
    "Short",
    "Text",
    "TimeWindowedSerde",
]
