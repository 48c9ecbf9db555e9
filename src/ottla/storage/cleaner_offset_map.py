"""The last offset of each key in the dirty part of a log, within a given amount of memory."""

from __future__ import annotations

import sys
from hashlib import blake2b

__all__ = ["OffsetMap"]

_DIGEST_SIZE = 20
# What an entry takes apart from the key: the key's object, the offset's, and its share of a dict just after
# it grew.
_ENTRY_OVERHEAD = sys.getsizeof(b"") + sys.getsizeof(2**40) + 90


class OffsetMap:
    """Key -> offset. Keys of 20 bytes and more are kept as digests, longer than any key kept as it is.

    `latest_offset` is the end (inclusive) of what has been mapped: a key's absence means something up to
    there only.
    """

    __slots__ = ("_budget", "_offsets", "_used", "latest_offset")

    def __init__(self, buffer_bytes: int) -> None:
        self._budget = buffer_bytes
        self._offsets: dict[bytes, int] = {}
        self._used = 0
        self.latest_offset = -1

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_full(self) -> bool:
        """Whether to stop mapping. Asked between batches, so that even a tiny buffer gets on by one batch."""
        return self._used >= self._budget

    def put(self, key: bytes, offset: int) -> None:
        """Note that `offset` is the newest one of the key. Keys come in log order."""
        if len(key) >= _DIGEST_SIZE:
            key = blake2b(key, digest_size=_DIGEST_SIZE).digest()
        if key not in self._offsets:
            self._used += _ENTRY_OVERHEAD + len(key)
        self._offsets[key] = offset

    def get(self, key: bytes) -> int:
        """The newest offset of the key; -1 when it was not seen."""
        if len(key) >= _DIGEST_SIZE:
            key = blake2b(key, digest_size=_DIGEST_SIZE).digest()
        return self._offsets.get(key, -1)
