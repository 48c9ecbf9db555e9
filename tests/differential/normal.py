"""What must differ between two brokers is replaced by symbols; all that is left is compared."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from typing import Any

_IGNORED = {"throttle_time_ms", "error_message", "batch_index_error_message"}
"""Errors in words are for people; a client that gets none shows its own for the code."""

_SYMBOLS = {
    "cluster_id": "cluster",
    "group_instance_id": "",
    "leader": "member",
    "log_dir": "folder",
    "member_id": "member",
    "port": "port",
    "producer_id": "producer",
    "session_id": "session",
    "broker_epoch": "epoch",
    "finalized_features_epoch": "epoch",
    "client_instance_id": "instance",
    "push_interval_ms": "",
}
"""Fields whose values are each broker's own, and the kind of thing they name: equals get equal symbols."""

_POSITIVE = {"total_bytes", "transaction_start_time_ms", "usable_bytes"}
_NOT_SET = (None, "", -1, 0, uuid.UUID(int=0))
_IDENTITY = (
    "name", "topic", "topic_name", "topic_id", "resource_type", "resource_name", "config_name", "group_id",
    "group", "user", "mechanism", "entity_type",
    "key", "api_key", "partition_index", "partition", "index", "node_id", "broker_id", "member_id", "source",
    "transactional_id", "producer_id",
)  # fmt: skip
_LOG_APPEND_TIME = 0x08
_CONTROL = 0x20


class Normaliser:
    """Replaces one broker's own values, over all the answers of one scenario."""

    def __init__(self) -> None:
        self._symbols: dict[tuple[str, Any], str] = {}

    def symbol(self, kind: str, value: Any) -> str:
        """The same for the same value; numbered in the order of appearance."""
        count = sum(known == kind for known, _ in self._symbols)
        return self._symbols.setdefault((kind, value), f"<{kind} {count + 1}>")

    def __call__(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self(each, key) for key, each in value.items() if key not in _IGNORED}
        if isinstance(value, list):
            if all(isinstance(each, dict) for each in value):
                # Kafka answers in the order of its hash tables.
                value = sorted(value, key=lambda each: (self._identity(each), each.get("error_code", 0)))
            return [self(each, name) for each in value]
        if name == "documentation":
            return value and "<text>"
        if name in _POSITIVE:
            return "<positive>" if value > 0 else value
        if value in _NOT_SET:
            return value
        if isinstance(value, uuid.UUID):
            return self.symbol("uuid", value)
        if kind := _SYMBOLS.get(name):
            return self.symbol(kind, value)
        return _records(value) if name == "records" else value

    def _identity(self, element: dict[str, Any]) -> tuple[str, ...]:
        found = []
        for each in _IDENTITY:
            value = element.get(each)
            kind = "uuid" if isinstance(value, uuid.UUID) else _SYMBOLS.get(each)
            if each == "producer_id":
                kind = None  # given in ascending order, so that they sort alike
            found.append(self._symbols.get((kind, value), "") if kind else f"{value!s:>12}")
        return tuple(found)


def _records(data: bytes) -> list[dict[str, Any]]:
    """The batches, without the time at which the broker appended, where that is the records' time, or the
    batch is a marker.
    """
    batches = []
    while len(data) >= 61:
        base_offset, length, epoch, magic, crc, attributes, *rest = struct.unpack_from(">qiibIhiqqqhii", data)
        names = ("last_offset_delta", "base_timestamp", "max_timestamp", "producer_id", "producer_epoch")
        batch = {
            "base_offset": base_offset, "length": length, "leader_epoch": epoch, "magic": magic, "crc": crc,
            "attributes": attributes, **dict(zip((*names, "base_sequence", "count"), rest, strict=True)),
            "payload": data[61 : 12 + length],
        }  # fmt: skip
        if attributes & _LOG_APPEND_TIME:
            batch["crc"] = batch["max_timestamp"] = "<now>"
        if batch["producer_id"] != -1:
            batch["crc"] = batch["producer_id"] = "<producer>"
        if attributes & _CONTROL:
            batch["base_timestamp"] = batch["max_timestamp"] = "<now>"
        batches.append(batch)
        data = data[12 + length :]
    return [*batches, {"rest": data}] if data else batches


def differences(kafka: Any, ottla: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two normalised answers differ: path, Kafka's value, Ottla's."""
    if isinstance(kafka, dict) and isinstance(ottla, dict):
        for name in [*kafka, *(name for name in ottla if name not in kafka)]:
            here = f"{path}.{name}" if path else name
            yield from differences(kafka.get(name, "<absent>"), ottla.get(name, "<absent>"), here)
    elif isinstance(kafka, list) and isinstance(ottla, list):
        theirs, ours = _by_identity(kafka), _by_identity(ottla)
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            yield from differences(theirs.get(key, "<absent>"), ours.get(key, "<absent>"), f"{path}[{key}]")
    elif kafka != ottla:
        yield path or "bytes", kafka, ottla


def _by_identity(elements: list[Any]) -> dict[str, Any]:
    keyed: dict[str, Any] = {}
    for index, each in enumerate(elements):
        known = [str(each[name]) for name in _IDENTITY if name in each] if isinstance(each, dict) else []
        key = " ".join(known) or str(index)
        keyed[key if key not in keyed else f"{key} #{index}"] = each
    return keyed
