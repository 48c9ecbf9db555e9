"""`ottla transaction` against a broker: what there is, what hangs, and ending it."""

import asyncio
import time

from confluent_kafka import Producer

from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.codec import Record, encode_batch

VERIFICATION = "transaction.partition.verification.enable"


async def leave_hanging(bootstrap: str, topic: str, producer_id: int) -> None:
    """Open a transaction in a partition of which no coordinator knows, as faults of clients once did."""
    cluster = Cluster(ClientSettings(bootstrap_servers=(bootstrap,)))
    await cluster.start()
    await cluster.refresh([topic])
    leader = cluster.metadata.leader_of(topic, 0)
    assert leader is not None
    batch = encode_batch(
        [Record(0, int(time.time() * 1000), None, b"v", ())],
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
        is_transactional=True,
    )
    request = ProduceRequest(
        transactional_id=f"nobody-{topic}",
        acks=-1,
        timeout_ms=10_000,
        topic_data=[
            TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=0, records=batch)])
        ],
    )
    # From version 12 on the broker adds the partition to the transaction.
    response = await cluster.send(request, ProduceResponse, node=leader.node_id, max_version=11)
    (produced,) = response.responses[0].partition_responses
    assert produced.error_code == 0
    await cluster.close()


def test_what_hangs_is_found_and_aborted(broker, cli, answer, make_topic, eventually):
    topic = make_topic()
    cli("config", "set", "broker", "default", f"{VERIFICATION}=false")
    try:
        eventually(
            lambda: any(
                entry["name"] == VERIFICATION and entry["value"] == "false"
                for entry in answer("config", "describe", "broker", "default")
            )
        )
        asyncio.run(leave_hanging(broker.bootstrap, topic, 987_654))
    finally:
        cli("config", "delete", "broker", "default", VERIFICATION)
    assert answer("transaction", "find-hanging", "--topic", topic) == []
    (found,) = answer("transaction", "find-hanging", "--topic", f"{topic}:0", "--max-timeout", "0")
    assert (found["producer_id"], found["start_offset"]) == (987_654, 0)
    cli("transaction", "abort", topic, "0", "--start-offset", "7", code=1)
    cli("transaction", "abort", topic, "0", "--start-offset", "0")
    assert answer("transaction", "find-hanging", "--topic", topic, "--max-timeout", "0") == []


def test_what_a_coordinator_knows_does_not_hang(broker, cli, answer, make_topic, new_name):
    topic, name = make_topic(), new_name("tx")
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"v")
    producer.flush(20)
    assert answer("transaction", "find-hanging", "--topic", topic, "--max-timeout", "0") == []
    (described,) = answer("transaction", "describe", name)
    assert (described["state"], described["partitions"]) == ("Ongoing", [f"{topic}-0"])
    listed = answer("transaction", "list", "--state", "Ongoing")
    assert name in [each["transactional_id"] for each in listed]
    producer.commit_transaction(30)
    assert cli("transaction", "describe", "ottla-unknown", code=1).stderr.startswith(
        b"ottla: ottla-unknown: "
    )
