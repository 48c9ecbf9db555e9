"""Offsets of sources, as `connect-offsets` has them: `["connector",{partition}]` to `{offset}`. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.connect.worker.configs import Write
from ottla.connect.worker.json_records import dump, load, load_object

_log: Final = logging.getLogger(__name__)

JsonObject = dict[str, object]


class KnownOffset(NamedTuple):
    key: bytes
    """As it stands in the topic: the parts of a partition may be in any order"""
    partition: JsonObject
    offset: JsonObject


class SourceOffsets:
    """What was written last for each partition. Changed by `replay` alone."""

    def __init__(self) -> None:
        self._connectors: dict[str, dict[bytes, KnownOffset]] = {}
        self._keys: dict[tuple[str, bytes], bytes] = {}
        """Of partitions that have no offset now"""

    def of(self, connector: str) -> list[KnownOffset]:
        return list(self._connectors.get(connector, {}).values())

    def get(self, connector: str, partition: Mapping[str, object]) -> JsonObject | None:
        found = self._connectors.get(connector, {}).get(_canonical(partition))
        return None if found is None else found.offset

    def written(
        self, connector: str, partition: Mapping[str, object], offset: Mapping[str, object] | None
    ) -> Write:
        """Under the key that the partition has already, whoever wrote it."""
        canonical = _canonical(partition)
        found = self._connectors.get(connector, {}).get(canonical)
        key = found.key if found is not None else self._keys.get((connector, canonical))
        if key is None:
            key = dump([connector, dict(partition)])
        return Write(key, None if offset is None else dump(dict(offset)))

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        try:
            parts = load(key or b"")
        except ValueError:
            parts = None
        if not isinstance(parts, list) or len(parts) != 2 or not isinstance(parts[0], str):
            _log.warning(
                "an offset is left out, its key is not [connector, partition]: %r", (key or b"")[:200]
            )
            return
        connector, partition = parts
        if not isinstance(partition, dict):
            return
        canonical = _canonical(partition)
        of_connector = self._connectors.setdefault(connector, {})
        offset = None if value is None else load_object(value)
        if offset is None:
            of_connector.pop(canonical, None)
            self._keys[connector, canonical] = key or b""
            return
        of_connector[canonical] = KnownOffset(key or b"", partition, offset)


def _canonical(partition: Mapping[str, object]) -> bytes:
    return dump(dict(sorted(partition.items())))
