"""Which shard has a key."""

from __future__ import annotations

import pytest

from ottla.coordinator.shards import java_hash, partition_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("hello", 99162322),
        ("polygenelubricants", -(1 << 31)),
        ("\N{GRINNING FACE}", 1772899),
        ("\ud800", 0xD800),
    ],
)
def test_hashes_are_javas(text: str, expected: int) -> None:
    assert java_hash(text) == expected


def test_a_keys_partition_is_that_of_kafka() -> None:
    assert partition_for("hello", 50) == 22
    assert partition_for("polygenelubricants", 50) == 0, "the one number without an absolute value"
    assert {partition_for(f"g{number}", 3) for number in range(20)} == {0, 1, 2}
