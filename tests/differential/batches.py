"""Record batches as clients send them, and as they should not."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Any

import google_crc32c

from ottla.records.codec import Record, encode_batch

START_MS = (int(time.time()) // 3600 - 1) * 3_600_000
"""The first record's time: past, but within the retention that scenarios leave on."""

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def records(*values: bytes | None, key: bytes | None = b"k", at: int = 0, headers: Any = ()) -> list[Record]:
    """One second apart, from `at` milliseconds after the start on."""
    return [
        Record(index, START_MS + at + 1000 * index, key, value, headers) for index, value in enumerate(values)
    ]


def batch(*values: bytes | None, codec: str = "none", **fields: Any) -> bytes:
    """A good batch."""
    record_fields = {name: fields.pop(name) for name in ("key", "at", "headers") if name in fields}
    return encode_batch(records(*values, **record_fields), codec=CODECS[codec], **fields)


def patched(whole: bytes, changes: Sequence[tuple[int, str, Any]], *, crc: bool = True) -> bytes:
    """The batch with other numbers in it: offset, struct layout and value of each; with a CRC that fits."""
    data = bytearray(whole)
    for offset, layout, value in changes:
        struct.pack_into(">" + layout, data, offset, value)
    if crc:
        struct.pack_into(">I", data, 17, google_crc32c.value(bytes(data[21:])))
    return bytes(data)


def with_payload(payload: bytes, count: int, **changes: int) -> bytes:
    """A batch of what claims to be `count` uncompressed records."""
    whole = batch(b"v")[:61] + payload
    return patched(whole, [
        (8, "i", len(whole) - 12), (23, "i", count - 1), (57, "i", count),
        (35, "q", START_MS + changes.get("max_delta", 0)),
    ])  # fmt: skip
