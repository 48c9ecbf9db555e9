"""Transactions in a cluster whose finalized transaction version is below what its brokers know (KIP-890)."""

from __future__ import annotations

import struct
from typing import Any

from ottla.records.codec import decode_batch

from .scenario import Ask, scenario
from .test_offsets import offsets
from .test_transactional_offsets import over, producer

UPGRADE, DOWNGRADE = 1, 2


def finalize(ask: Ask, level: int, kind: int) -> None:
    update = {"feature": "transaction.version", "max_version_level": level, "upgrade_type": kind}
    done = ask.quietly("UpdateFeatures", 1, timeout_ms=10_000, feature_updates=[update], validate_only=False)
    assert done["error_code"] == 0, done
    ask.settle()


def state_version(ask: Ask, who: dict[str, Any]) -> int:
    """In which version the transaction's state was last written."""
    key = struct.pack(">hh", 0, len(who["transactional_id"])) + who["transactional_id"].encode()
    offset, found = 0, -1
    while True:
        asked = [{"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}]
        topics = [{"topic": "__transaction_state", "partitions": asked}]
        answer = ask.quietly(
            "Fetch",
            4,
            replica_id=-1,
            max_wait_ms=100,
            min_bytes=1,
            max_bytes=1 << 20,
            isolation_level=0,
            topics=topics,
        )
        data: bytes = answer["responses"][0]["partitions"][0]["records"] or b""
        while len(data) >= 61 and len(data) >= (size := 12 + struct.unpack_from(">i", data, 8)[0]):
            for record in decode_batch(data[:size], max_bytes=1 << 20):
                offset = record.offset + 1
                if record.key == key and record.value is not None:
                    (found,) = struct.unpack_from(">h", record.value)
            data = data[size:]
        if not answer["responses"][0]["partitions"][0]["records"]:
            return found


def transact(ask: Ask, who: dict[str, Any], topic: dict[str, Any], *, committed: bool) -> None:
    """One transaction of offsets alone."""
    added = over(ask, "AddOffsetsToTxn", 4, **who, group_id=ask.name("group"))
    ask.note("AddOffsetsToTxn", 4, added)
    nobody = {"generation_id_or_member_epoch": -1, "member_id": "", "group_id": ask.name("group")}
    ask("TxnOffsetCommit", 4, **who, **nobody, topics=[offsets(topic, 0)])
    ended = over(ask, "EndTxn", ask.version, **who, committed=committed)
    ask.note("EndTxn", ask.version, ended)
    if ended.get("producer_id", -1) >= 0:
        who.update(producer_id=ended["producer_id"], producer_epoch=ended["producer_epoch"])


@scenario("EndTxn", versions=(0, 4))
def test_transactions_at_older_versions(ask: Ask) -> None:
    topic = ask.topic()
    for level, kind in ((1, DOWNGRADE), (0, DOWNGRADE), (2, UPGRADE)):
        finalize(ask, level, kind)
        who = producer(ask, f"at-{level}")
        for committed in (True, False):
            transact(ask, who, topic, committed=committed)
            again = over(ask, "EndTxn", ask.version, **who, committed=committed)
            ask.note("EndTxn", ask.version, again)
        successor = producer(ask, f"at-{level}")
        ask.note("InitProducerId", 5, {"producer_epoch": successor["producer_epoch"]})
        ask.note("InitProducerId", 5, {"state_version": state_version(ask, who)})
        transact(ask, who, topic, committed=True)
        transact(ask, successor, topic, committed=True)
