"""Groups, their offsets, and transactions."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, Producer

from ottla.client.admin.acls import (
    AclOperation,
)
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.group_offsets import CommittedOffset
from ottla.client.admin.groups import MemberToRemove
from ottla.client.admin.results import Results
from ottla.client.admin.transactions import TransactionToAbort
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import BrokerError
from ottla.protocol.errors import ErrorCode

from .looking import NO_TOPIC, code, eventually, skip_if_not_served


async def test_offsets_of_groups(admin: AsyncAdmin, topic: str) -> None:
    group = f"group-{topic}"
    first, second, strange = TopicPartition(topic, 0), TopicPartition(topic, 1), TopicPartition(NO_TOPIC, 0)
    altered = await admin.group_offsets.alter(
        group, {first: CommittedOffset(3, "note"), second: 4, strange: 1}
    )
    assert list(altered.succeeded) == [first, second]
    assert code(altered.errors[strange]) == ErrorCode.unknown_topic_or_partition
    everything = await admin.group_offsets.list([group, "no-such-group"])
    assert everything[group][first] == CommittedOffset(3, "note")
    assert len(everything["no-such-group"]) == 0
    some = await admin.group_offsets.list({group: [second, TopicPartition(topic, 7)]}, require_stable=True)
    assert dict(some[group]) == {second: CommittedOffset(4), TopicPartition(topic, 7): None}
    deleted = await admin.group_offsets.delete(group, [first, strange])
    assert list(deleted.succeeded) == [first]
    assert list((await admin.group_offsets.list([group]))[group]) == [second]
    gone = await admin.groups.delete([group, "no-such-group"])
    assert list(gone.succeeded) == [group]
    assert code(gone.errors["no-such-group"]) == ErrorCode.group_id_not_found


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_groups_of_either_protocol(
    admin: AsyncAdmin, topic: str, broker: object, protocol: str
) -> None:
    group = f"{protocol}-{topic}"
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,  # type: ignore[attr-defined]
            "group.id": group,
            "group.protocol": protocol,
            "group.instance.id": "one",
            "client.id": "a-client",
        }
    )
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while not consumer.assignment() and time.monotonic() < deadline:
        consumer.poll(0.1)
    described = await admin.groups.describe([group, "no-such-group"], include_operations=True)
    found = described[group]
    assert (found.group_id, found.type, found.protocol_type, found.state) == (
        group,
        protocol,
        "consumer",
        "Stable",
    )
    (member,) = found.members
    assert (member.group_instance_id, member.client_id) == ("one", "a-client")
    assert sorted(member.assignment) == [(topic, 0), (topic, 1)]
    assert (member.target is not None) == (protocol == "consumer")
    assert AclOperation.READ in (found.authorized_operations or ())
    assert code(described.errors["no-such-group"]) == ErrorCode.group_id_not_found
    listed = await admin.groups.list(states=["Stable"], types=[protocol])
    assert group in {each.group_id for groups in listed.values() for each in groups}
    assert code((await admin.groups.delete([group])).errors[group]) == ErrorCode.non_empty_group
    if protocol == "classic":
        strange = MemberToRemove("another")
        removed = await admin.groups.remove_members(group, [MemberToRemove("one"), strange], reason="test")
        assert code(removed.errors[strange]) == ErrorCode.unknown_member_id
        assert (await admin.groups.describe([group]))[group].state == "Empty"
    consumer.close()


async def test_share_groups(admin: AsyncAdmin, topic: str) -> None:
    group, there = f"share-{topic}", TopicPartition(topic, 0)

    async def alter() -> Results[TopicPartition, None]:
        return await admin.group_offsets.alter_share(group, {there: 0})

    # The first such call makes the topic that the offsets are kept in.
    altered = await eventually(
        alter, lambda found: there in found.succeeded or found.errors[there].code is None
    )
    skip_if_not_served(altered.errors.get(there))
    altered.check()
    offset = (await admin.group_offsets.list_share([group]))[group][there]
    assert offset is not None
    assert offset.start_offset == 0
    described = await admin.groups.describe_share([group, "no-such-group"])
    assert described[group].state == "Empty"
    assert code(described.errors["no-such-group"]) == ErrorCode.group_id_not_found
    (await admin.group_offsets.delete_share(group, [topic])).check()
    (await admin.groups.delete([group])).check()


async def test_streams_groups_that_are_not_there(admin: AsyncAdmin) -> None:
    error = (await admin.groups.describe_streams(["no-such-group"])).errors["no-such-group"]
    skip_if_not_served(error)
    assert code(error) == ErrorCode.group_id_not_found


async def test_transactions(admin: AsyncAdmin, topic: str, broker: object) -> None:
    name = f"tx-{topic}"
    listed = await admin.transactions.list()
    for error in listed.errors.values():
        skip_if_not_served(error)
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "transactional.id": name}  # type: ignore[attr-defined]
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"pending", partition=0)
    producer.flush(20)
    found = (await admin.transactions.describe([name, "no-such-transaction"]))[name]
    assert (found.state, found.partitions) == ("Ongoing", frozenset({TopicPartition(topic, 0)}))
    assert found.start_time_ms is not None
    mine = await admin.transactions.list(states=["Ongoing"], producer_ids=[found.producer_id])
    (node,) = [node for node, every in mine.items() if every]
    ongoing = await admin.transactions.list(states=["Ongoing"], longer_than_ms=0, pattern=f"tx-{topic}.*")
    assert [each.transactional_id for each in ongoing[node]] == [name]
    there = TopicPartition(topic, 0)
    (state,) = (await admin.transactions.describe_producers([there]))[there]
    assert (state.producer_id, state.transaction_start) == (found.producer_id, 0)
    (partition,) = [
        each for each in (await admin.topics.describe([topic]))[topic].partitions if each.partition == 0
    ]
    assert (await admin.transactions.describe_producers([there], broker=partition.leader))[there] == [state]
    fenced = (await admin.transactions.fence_producers([name]))[name]
    assert (fenced.producer_id, fenced.producer_epoch) != (found.producer_id, found.producer_epoch)
    assert (await admin.transactions.describe([name]))[name].start_time_ms is None
    await admin.transactions.terminate(name)
    old = TransactionToAbort(there, state.producer_id, state.producer_epoch - 1, 0)
    with pytest.raises(BrokerError):
        await admin.transactions.abort(old)
