"""The names of transforms and predicates, Kafka's and Confluent's among them, and where each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["PREDICATES", "TRANSFORMS"]

_KAFKA: Final = "org.apache.kafka.connect.transforms"
_OURS: Final = "ottla.connect.transforms"

_OF_ONE_PART: Final[Mapping[str, str]] = {
    "Cast": "cast",
    "ExtractField": "fields",
    "Flatten": "fields",
    "HeaderFrom": "headers",
    "HoistField": "fields",
    "InsertField": "insertion",
    "MaskField": "insertion",
    "ReplaceField": "fields",
    "SetSchemaMetadata": "insertion",
    "TimestampConverter": "timestamps",
}
_OF_WHOLE_RECORDS: Final[Mapping[str, str]] = {
    "DropHeaders": "headers",
    "Filter": "routing",
    "InsertHeader": "headers",
    "RegexRouter": "routing",
    "TimestampRouter": "routing",
    "ValueToKey": "fields",
}

TRANSFORMS: Final[Mapping[str, str]] = {
    **{
        f"{_KAFKA}.{name}${part}": f"{_OURS}.{module}:{name}{part}"
        for name, module in _OF_ONE_PART.items()
        for part in ("Key", "Value")
    },
    **{f"{_KAFKA}.{name}": f"{_OURS}.{module}:{name}" for name, module in _OF_WHOLE_RECORDS.items()},
    **{
        f"io.confluent.connect.transforms.ExtractTopic${part}": f"{_OURS}.routing:ExtractTopic{part}"
        for part in ("Key", "Value")
    },
    "io.debezium.transforms.ExtractNewRecordState": "ottla.cdc.transforms.unwrap:ExtractNewRecordState",
    "io.debezium.transforms.outbox.EventRouter": "ottla.cdc.transforms.outbox:EventRouter",
    "ottla.connect.transforms.Python": f"{_OURS}.routing:PythonTransform",
}
"""`module:class` by name, as entry points are written."""

PREDICATES: Final[Mapping[str, str]] = {
    f"{_KAFKA}.predicates.{name}": f"{_OURS}.predicates:{name}"
    for name in ("HasHeaderKey", "RecordIsTombstone", "TopicNameMatches")
}
"""`module:class` by name."""
