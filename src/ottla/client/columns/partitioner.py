"""Which partition a record goes to by its key: Java's way and librdkafka's, so that clients of both agree."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.implementation import IMPLEMENTATION, Implementation
from ottla.records.batch import Buffer

__all__ = ["ANYWHERE", "PARTITIONERS", "Partitioner"]

ANYWHERE: Final = -1
"""In place of a partition: any will do, and the producer is to choose it."""


@dataclass(frozen=True, slots=True)
class Partitioner:
    """A key's hash modulo the number of partitions. Without a hash, any record may go anywhere."""

    hash_name: str | None
    null_goes_anywhere: bool = True
    empty_goes_anywhere: bool = False

    def of_key(
        self, key: Buffer | None, partitions: int, *, implementation: Implementation = IMPLEMENTATION
    ) -> int:
        """The partition of `key`, or `ANYWHERE`."""
        if (
            self.hash_name is None
            or (key is None and self.null_goes_anywhere)
            or (not key and self.empty_goes_anywhere)
        ):
            return ANYWHERE
        return implementation.hash_key(self.hash_name, b"" if key is None else key) % partitions

    def of_column(
        self,
        key: BinaryColumn,
        partitions: int,
        anywhere: int = ANYWHERE,
        *,
        implementation: Implementation = IMPLEMENTATION,
    ) -> memoryview:
        """The partition of each key, as int32; `anywhere` is that of those which may go anywhere."""
        if self.hash_name is None:
            return memoryview(anywhere.to_bytes(4, sys.byteorder, signed=True) * len(key)).cast("i")
        null, empty = (self.of_key(none, partitions, implementation=implementation) for none in (None, b""))
        return implementation.hash_keys(
            self.hash_name,
            key.raw,
            partitions,
            anywhere if null == ANYWHERE else null,
            anywhere if empty == ANYWHERE else empty,
        )


PARTITIONERS: Final = {
    "murmur2_random": Partitioner("murmur2"),
    "murmur2": Partitioner("murmur2", null_goes_anywhere=False),
    "consistent_random": Partitioner("crc32", empty_goes_anywhere=True),
    "consistent": Partitioner("crc32", null_goes_anywhere=False),
    "fnv1a_random": Partitioner("fnv1a"),
    "fnv1a": Partitioner("fnv1a", null_goes_anywhere=False),
    "random": Partitioner(None),
}
"""By librdkafka's names. `murmur2_random` is what Java's producers do, and `consistent_random` what
librdkafka's do unless told otherwise."""
