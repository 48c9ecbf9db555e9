"""The map of keys within its memory."""

from __future__ import annotations

from ottla.storage.cleaner.filter import OffsetMap


def test_the_map_stays_within_its_bytes() -> None:
    offsets = OffsetMap(100_000)
    count = 0
    while not offsets.is_full:
        offsets.put(b"%d" % count, count)
        count += 1
    assert 400 < count < 700
    assert offsets.get(b"7") == 7
    assert offsets.get(b"unknown") == -1
