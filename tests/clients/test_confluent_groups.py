"""confluent-kafka in consumer groups: the classic protocol and KIP-848's, members that come, go and die."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic

CLASSIC_ASSIGNORS = ["range", "roundrobin", "cooperative-sticky"]
PROTOCOLS = {
    **{name: {"partition_assignment_strategy": name} for name in CLASSIC_ASSIGNORS},
    "consumer": {"group_protocol": "consumer"},
    "consumer-range": {"group_protocol": "consumer", "group_remote_assignor": "range"},
}
BOTH = {"classic": PROTOCOLS["range"], "consumer": PROTOCOLS["consumer"]}


class Member:
    """A consumer that polls in its own thread, commits what it has seen, and remembers its assignment."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self.assigned: set[int] = set()
        self.seen: list[Message] = []
        self.rebalances = 0
        self.losses = 0
        """How often it was told that its partitions may be somebody else's already."""
        self.error: KafkaError | None = None
        self._consumer = consumer
        self._stop = threading.Event()
        consumer.subscribe(
            [topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        self.assigned |= {partition.partition for partition in partitions}

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned -= {partition.partition for partition in partitions}

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.losses += 1
        self._on_revoke(consumer, partitions)

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.05)
            if message is None:
                continue
            if message.error():
                self.error = message.error()
                if self.error.fatal():
                    return
                continue
            self.seen.append(message)
            with contextlib.suppress(KafkaException):  # the partition may just have been taken away
                self._consumer.commit(message, asynchronous=False)

    def leave(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self._consumer.close()
        self.assigned = set()


class Crew:
    """The members of one group on one topic."""

    def __init__(self, confluent: Any, topic: str, group: str, settings: dict[str, Any]) -> None:
        self.members: list[Member] = []
        self._confluent = confluent
        self._topic = topic
        self._group = group
        self._settings = settings

    def join(self, **settings: Any) -> Member:
        consumer = self._confluent.consumer(self._group, **{**self._settings, **settings})
        member = Member(consumer, self._topic)
        self.members.append(member)
        return member

    def shares(self) -> list[list[int]]:
        return [sorted(member.assigned) for member in self.members]

    def assigned(self) -> list[int]:
        return sorted(partition for share in self.shares() for partition in share)

    def covers(self, partitions: int) -> bool:
        """Every member has a share, and together they have every partition once."""
        return all(self.shares()) and self.assigned() == list(range(partitions))

    def seen(self) -> list[Message]:
        return [message for member in self.members for message in member.seen]

    def leave(self) -> None:
        for member in self.members:
            member.leave()


@pytest.fixture
def crew(confluent, make_topic, new_name) -> Iterator[Any]:
    crews: list[Crew] = []

    def make(settings: dict[str, Any], partitions: int = 4) -> tuple[Crew, str, str]:
        topic, group = make_topic(partitions=partitions), new_name("group")
        crews.append(Crew(confluent, topic, group, settings))
        return crews[-1], topic, group

    yield make
    for made in crews:
        made.leave()


def fast_session(broker: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The shortest session; with KIP-848 the broker's settings decide."""
    if settings.get("group_protocol") == "consumer":
        return settings
    return {**settings, "session_timeout_ms": broker.session_timeout_ms, "heartbeat_interval_ms": 200}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_record_is_read_while_members_come_and_go(broker, confluent, crew, eventually, protocol):
    group, topic, group_id = crew(fast_session(broker, PROTOCOLS[protocol]))
    sender = confluent.producer()
    sent = 0

    def send() -> None:
        nonlocal sent
        records = [{"value": b"%d" % n, "partition": n % 4} for n in range(sent, sent + 200)]
        confluent.produce(sender, topic, records)
        sent += 200

    send()
    first = group.join()
    eventually(lambda: group.covers(4))
    send()
    group.join()
    group.join()
    eventually(lambda: group.covers(4))
    send()
    first.leave()
    group.members.remove(first)
    eventually(lambda: group.covers(4))
    send()
    eventually(lambda: {int(m.value()) for m in group.seen() + first.seen} == set(range(sent)))
    duplicates = Counter(m.value() for m in group.seen() + first.seen)
    assert sum(duplicates.values()) - sent <= 3 * 4  # at most what a member had in hand at a rebalance
    group.leave()
    committed = confluent.consumer(group_id).committed(
        [TopicPartition(topic, p) for p in range(4)], timeout=10
    )
    assert [partition.offset for partition in committed] == [sent // 4] * 4


@pytest.mark.parametrize("protocol", BOTH)
def test_more_members_than_partitions_leave_some_idle(broker, crew, eventually, protocol):
    group, _, _ = crew(fast_session(broker, BOTH[protocol]), partitions=2)
    for _ in range(3):
        group.join()
    eventually(lambda: group.assigned() == [0, 1] and sorted(map(len, group.shares())) == [0, 1, 1])


@pytest.mark.parametrize("protocol", BOTH)
def test_new_partitions_are_assigned(broker, confluent, crew, eventually, protocol):
    group, topic, _ = crew(
        {**fast_session(broker, BOTH[protocol]), "topic_metadata_refresh_interval_ms": 300}
    )
    group.join()
    eventually(lambda: group.covers(4))
    admin = confluent.admin()
    admin.create_partitions([NewPartitions(topic, 6)])[topic].result(10)
    eventually(lambda: group.covers(6))


@pytest.mark.parametrize("protocol", BOTH)
def test_a_static_member_comes_back_to_its_partitions(broker, crew, eventually, protocol):
    group, _, _ = crew(
        {**BOTH[protocol], "session_timeout_ms": 10_000} if protocol == "classic" else BOTH[protocol]
    )
    stays = group.join(group_instance_id="stays")
    returns = group.join(group_instance_id="returns")
    eventually(lambda: group.covers(4) and [len(share) for share in group.shares()] == [2, 2])
    before, calls = set(returns.assigned), stays.rebalances
    returns.leave()
    group.members.remove(returns)
    returned = group.join(group_instance_id="returns")
    eventually(lambda: returned.assigned == before)
    assert stays.rebalances == calls
    assert group.covers(4)


def test_a_static_member_is_fenced_by_its_successor(crew, eventually):
    group, _, _ = crew({**PROTOCOLS["range"], "heartbeat_interval_ms": 200})
    first = group.join(group_instance_id="one")
    eventually(lambda: group.covers(4))
    second = group.join(group_instance_id="one")
    eventually(lambda: second.assigned == {0, 1, 2, 3})
    assert eventually(lambda: first.error).code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL)


def test_kip_848_keeps_a_static_members_place_from_others(crew, eventually):
    group, _, _ = crew(PROTOCOLS["consumer"])
    group.join(group_instance_id="one")
    eventually(lambda: group.covers(4))
    second = group.join(group_instance_id="one")
    assert eventually(lambda: second.error).code() in (KafkaError.UNRELEASED_INSTANCE_ID, KafkaError._FATAL)
    assert group.members[0].assigned == {0, 1, 2, 3}


CONSUME_FOREVER = """
import json, sys
from confluent_kafka import Consumer
consumer = Consumer(json.loads(sys.argv[1]))
consumer.subscribe([sys.argv[2]], on_assign=lambda _, partitions: print(len(partitions), flush=True))
while True:
    consumer.poll(1)
"""


@pytest.mark.parametrize("protocol", BOTH)
def test_a_member_that_dies_is_replaced_after_its_session(broker, crew, eventually, protocol):
    settings = fast_session(broker, BOTH[protocol])
    group, topic, group_id = crew(settings)
    librdkafka = {name.replace("_", "."): value for name, value in settings.items()}
    config = {"bootstrap.servers": broker.bootstrap, "group.id": group_id, **librdkafka}
    arguments = [sys.executable, "-c", CONSUME_FOREVER, json.dumps(config), topic]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        assert doomed.stdout.readline().strip() == "4"
        survivor = group.join()
        eventually(lambda: len(survivor.assigned) == 2)
        doomed.kill()
    eventually(lambda: group.covers(4), 60)  # a broker of other people's has a session of 45 s


def test_a_pause_of_the_broker_while_members_move_costs_them_nothing(
    make_broker, confluent_at, make_topic, eventually
):
    """librdkafka soon gives up on a heartbeat and repeats it, though the lost answer told of a change."""
    broker = make_broker()
    group = Crew(confluent_at(broker), make_topic(partitions=8, at=broker), "group", PROTOCOLS["consumer"])
    with contextlib.ExitStack() as stack:
        stack.callback(group.leave)
        for _ in range(3):
            group.join()
        eventually(lambda: group.covers(8))
        group.join()
        time.sleep(0.3)  # until it is a member, so that the others' next heartbeats have consequences
        with broker.paused():
            time.sleep(1.6)
        eventually(lambda: group.covers(8))
        assert not any(member.losses for member in group.members)


@pytest.mark.parametrize("protocol", BOTH)
def test_commits_keep_offset_and_metadata(confluent, make_topic, new_name, protocol):
    topic, group = make_topic(partitions=2), new_name("group")
    confluent.produce(confluent.producer(), topic, [{"value": b"%d" % n, "partition": 0} for n in range(10)])
    consumer = confluent.consumer(group, **BOTH[protocol])
    consumer.subscribe([topic])
    confluent.read(consumer, 10)
    assert [p.offset for p in consumer.committed([TopicPartition(topic, 0)], timeout=10)] == [-1001]
    offsets = [TopicPartition(topic, 0, 4, metadata="four, né"), TopicPartition(topic, 1, 0)]
    consumer.commit(offsets=offsets, asynchronous=False)
    four, zero = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    assert (four.offset, four.metadata, zero.offset, zero.metadata or "") == (4, "four, né", 0, "")
    consumer.close()
    again = confluent.consumer(group, **BOTH[protocol])
    again.subscribe([topic])
    assert [int(m.value()) for m in confluent.read(again, 6)] == [4, 5, 6, 7, 8, 9]


def test_the_committed_leader_epoch_comes_back(confluent, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    confluent.produce(confluent.producer(), topic, [{"value": b"v"}])
    consumer = confluent.consumer(group)
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = confluent.read(consumer, 1)[0]
    consumer.commit(message, asynchronous=False)
    committed = consumer.committed([TopicPartition(topic, 0)], timeout=10)[0]
    assert (committed.offset, committed.leader_epoch) == (1, message.leader_epoch())


def test_auto_commit_on_close(confluent, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    confluent.produce(confluent.producer(), topic, [{"value": b"v"}] * 7)
    consumer = confluent.consumer(group, enable_auto_commit=True)
    consumer.subscribe([topic])
    confluent.read(consumer, 7)
    consumer.close()
    assert confluent.consumer(group).committed([TopicPartition(topic, 0)], timeout=10)[0].offset == 7


@pytest.mark.parametrize("protocol", BOTH)
def test_a_stranger_may_not_commit_for_a_living_group(crew, confluent, eventually, protocol):
    group, topic, group_id = crew(BOTH[protocol])
    stranger = confluent.consumer(group_id)
    stranger.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)  # nobody is in the group yet
    group.join()
    eventually(lambda: group.covers(4))
    with pytest.raises(KafkaException) as refused:
        stranger.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)
    assert refused.value.args[0].code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.STALE_MEMBER_EPOCH)


@pytest.mark.parametrize("protocol", BOTH)
def test_a_subscription_by_pattern(confluent, make_topic, new_name, eventually, protocol):
    topics = {make_topic(), make_topic()}
    prefix = new_name("pattern")
    admin = confluent.admin()
    names = [f"{prefix}-a", f"{prefix}-b"]
    for created in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        created.result(10)
    consumer = confluent.consumer(new_name("group"), **BOTH[protocol])
    consumer.subscribe([f"^{prefix}-.*"])
    assigned = eventually(lambda: consumer.poll(0.05) or {p.topic for p in consumer.assignment()})
    assert assigned == set(names)
    assert not assigned & topics


def test_a_classic_group_moves_to_kip_848_and_back(broker, crew, eventually):
    group, _, _ = crew({})
    classic = fast_session(broker, PROTOCOLS["cooperative-sticky"])
    old = group.join(**classic)
    eventually(lambda: group.covers(4))
    new = group.join(**PROTOCOLS["consumer"])
    eventually(lambda: group.covers(4))
    old.leave()
    group.members.remove(old)
    eventually(lambda: new.assigned == {0, 1, 2, 3})
    old = group.join(**classic)
    eventually(lambda: group.covers(4))
    new.leave()
    group.members.remove(new)
    eventually(lambda: old.assigned == {0, 1, 2, 3})


def test_assignors_without_a_common_one_are_refused(crew, eventually):
    group, _, _ = crew({})
    group.join(**PROTOCOLS["range"])
    eventually(lambda: group.covers(4))
    refused = group.join(**PROTOCOLS["roundrobin"])
    assert eventually(lambda: refused.error).code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL


def test_a_session_outside_of_the_brokers_limits_is_refused(crew, eventually):
    group, _, _ = crew({**PROTOCOLS["range"], "session_timeout_ms": 100, "heartbeat_interval_ms": 50})
    refused = group.join()
    assert eventually(lambda: refused.error).code() == KafkaError.INVALID_SESSION_TIMEOUT


def test_a_slow_member_is_put_out_and_may_return(broker, crew, confluent, eventually):
    limits = {"max_poll_interval_ms": broker.session_timeout_ms, **fast_session(broker, PROTOCOLS["range"])}
    group, topic, group_id = crew(limits)
    slow = confluent.consumer(group_id, **limits)
    slow.subscribe([topic])
    eventually(lambda: slow.poll(0.05) or slow.assignment())
    member = group.join()
    eventually(lambda: member.assigned == {0, 1, 2, 3})
    eventually(lambda: slow.poll(0.05) is None and len(slow.assignment()) == 2)
