"""Offsets as the REST face takes and gives them (KIP-875). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Change(NamedTuple):
    """None in place of the offset: it is to be forgotten."""

    partition: Mapping[str, object] | None
    offset: Mapping[str, object] | None


def sink_offsets_shown(offsets: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    return {
        "offsets": [
            {
                "partition": {"kafka_topic": topic, "kafka_partition": number},
                "offset": {"kafka_offset": offset},
            }
            for (topic, number), offset in sorted(offsets.items())
        ]
    }


def parse_sink_offsets(changes: Sequence[Change]) -> dict[tuple[str, int], int | None]:
    """ValueError with what Kafka's Connect answers."""
    found: dict[tuple[str, int], int | None] = {}
    for partition, offset in changes:
        if partition is None:
            raise ValueError("The partition for a sink connector offset cannot be null or missing")
        if "kafka_topic" not in partition or "kafka_partition" not in partition:
            raise ValueError(
                "The partition for a sink connector offset must contain the keys 'kafka_topic' and "
                "'kafka_partition'"
            )
        topic, number = partition["kafka_topic"], partition["kafka_partition"]
        if topic is None:
            raise ValueError("Kafka topic names must be valid strings and may not be null")
        if number is None:
            raise ValueError("Kafka partitions must be valid numbers and may not be null")
        where = (str(topic), _integer(number, "Kafka partition value", "Partition"))
        if offset is None:
            found[where] = None
            continue
        if "kafka_offset" not in offset:
            raise ValueError(
                "The offset for a sink connector should either be null or contain the key 'kafka_offset'"
            )
        found[where] = _integer(offset["kafka_offset"], "Kafka offset value", "Offset")
    return found


def _integer(value: object, what: str, plural: str) -> int:
    text = "null" if value is None else str(value)
    if not isinstance(value, bool) and len(text) < 20 and text.lstrip("+-").isdecimal():
        return int(text)
    raise ValueError(
        f"Failed to parse the following {what} in the provided offsets: '{text}'. {plural} values for sink "
        "connectors need "
        "to be integers."
    )
