"""Which shard has a key."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ottla.coordinator.shards import Shards, java_hash, partition_for
from ottla.protocol.errors import ErrorCode, KafkaError


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


class Owner:
    """Of a partition whose load fails with what is in `failures`."""

    def __init__(self, partition: SimpleNamespace, failures: dict[int, Exception]) -> None:
        self.partition = partition
        self.is_loading, self.is_stopped = True, False
        self._failure = failures.get(partition.index)

    async def load(self, _image: object) -> None:
        if self._failure is not None:
            raise self._failure
        self.is_loading = False

    def stop(self) -> None:
        self.is_stopped = True


async def test_a_shard_that_cannot_be_loaded_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    failures = {0: KafkaError(ErrorCode.kafka_storage_error), 1: AssertionError("a record of another kind")}
    hosted = [SimpleNamespace(index=index) for index in range(3)]
    shards = Shards(
        "t",
        lambda partition: Owner(partition, failures),
        SimpleNamespace(of_topic=lambda _topic: hosted, subscribe=lambda _listener: None),
        SimpleNamespace(),
    )
    await shards.load()
    assert [owner.partition.index for owner in shards.loaded()] == [2]
    for index in failures:
        with pytest.raises(KafkaError) as raised:
            shards.owner_at(index)
        assert raised.value.code is ErrorCode.not_coordinator
    assert "a record of another kind" in caplog.text
