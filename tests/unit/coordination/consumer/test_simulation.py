"""Members that heartbeat truthfully, die, lose answers, come and go, while topics and shards change.

Whatever happens, no partition is consumed by two members at once, every record can be replayed, and once
things calm down all reach the target: every partition is consumed, by one member.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ottla.protocol.errors import ErrorCode

TOPICS = ("t1", "t2", "t3")
subscriptions = st.one_of(
    st.builds(lambda names: {"topics": sorted(names)}, st.frozensets(st.sampled_from(TOPICS))),
    st.sampled_from([{"regex": "t.*"}, {"regex": "t[12]"}, {"topics": ["t1"], "regex": "t3"}]),
)


class Client:
    """A consumer: what it consumes, and what it has been told and not done yet."""

    def __init__(
        self, member_id: str, instance: str | None, subscription: dict[str, Any], assignor: str
    ) -> None:
        self.member_id = member_id
        self.instance = instance
        self.subscription = {"topics": [], "regex": "", **subscription}
        self.assignor = assignor
        self.alive = True
        self.epoch = 0
        self.consumed: set[tuple[str, int]] = set()
        self.assigned: set[tuple[str, int]] | None = None
        self.owes_full_request = False

    def drop_everything(self) -> None:
        self.epoch, self.consumed, self.assigned = 0, set(), None

    def by_topic(self) -> dict[str, list[int]]:
        owned: dict[str, list[int]] = {}
        for topic, number in self.consumed:
            owned.setdefault(topic, []).append(number)
        return owned


class ConsumerGroupMachine(RuleBasedStateMachine):
    """The rules; `new_cluster` is the fixture's, put in by the test."""

    new_cluster: Any
    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.topics = {"t1": 4, "t2": 2}
        self.cluster = self.new_cluster(group_consumer_assignment_interval_ms=1_000)
        self.cluster.set_topics(**self.topics)
        self.all: list[Client] = []
        self.names = 0

    # Clients

    @rule(
        target=clients,
        subscription=subscriptions,
        instance=st.sampled_from([None, None, "i-1", "i-2"]),
        assignor=st.sampled_from(["uniform", "range"]),
    )
    def join(self, subscription, instance, assignor):
        self.names += 1
        client = Client(f"m{self.names}", instance, subscription, assignor)
        self.all.append(client)
        self.heartbeat(client, answered=True)
        return client

    @rule(client=clients, answered=st.sampled_from([True, True, True, False]))
    def heartbeat(self, client, answered):
        """A heartbeat whose answer may be lost; partitions are given back, and taken, only in `apply`."""
        if not client.alive:
            return
        fields: dict[str, Any] = {"instance": client.instance, "owned": client.by_topic()}
        if client.epoch == 0 or client.owes_full_request:
            fields |= client.subscription | {"assignor": client.assignor, "rebalance_timeout_ms": 20_000}
        response = self.cluster.heartbeat(client.member_id, client.epoch, **fields)
        if answered:
            self._take(client, response)
        else:
            client.owes_full_request = True

    def _take(self, client, response):
        code = response["error_code"]
        client.owes_full_request = False
        if code is ErrorCode.none:
            client.epoch = response["member_epoch"]
            assignment = self.cluster.names(response["assignment"])
            if assignment is not None:
                client.assigned = {(t, n) for t, numbers in assignment.items() for n in numbers}
        elif code is ErrorCode.unreleased_instance_id:
            client.drop_everything()
        elif code is ErrorCode.fenced_instance_id:
            client.alive = False
            client.drop_everything()
        else:
            assert code in (
                ErrorCode.unknown_member_id,
                ErrorCode.fenced_member_epoch,
                ErrorCode.group_id_not_found,
            ), response
            client.drop_everything()

    @rule(client=clients)
    def apply(self, client):
        """Stop consuming what is not assigned any more and start what is new."""
        if client.alive and client.assigned is not None:
            client.consumed, client.assigned = client.assigned, None

    @rule(client=clients)
    def revoke_only(self, client):
        """Half of it: the callback that gives back has run, the other has not."""
        if client.alive and client.assigned is not None:
            client.consumed &= client.assigned

    @rule(client=clients, subscription=subscriptions)
    def resubscribe(self, client, subscription):
        client.subscription = {"topics": [], "regex": "", **subscription}
        client.owes_full_request = True

    @rule(client=consumes(clients))
    def die(self, client):
        """It stops at once, and the group learns of it only by its silence."""
        client.alive = False
        client.drop_everything()

    @rule(client=consumes(clients), for_good=st.booleans())
    def leave(self, client, for_good):
        if client.alive and client.epoch > 0:
            epoch = -1 if for_good or client.instance is None else -2
            self.cluster.heartbeat(client.member_id, epoch, instance=client.instance)
        client.alive = False
        client.drop_everything()

    # The world

    @rule(ms=st.sampled_from([0, 500, 5_000, 20_000, 45_000]))
    def wait(self, ms):
        """Whoever is fenced by then has noticed it: a client stops by itself when it cannot heartbeat."""
        self.cluster.advance(ms)
        group = self.cluster.shard.state.groups.get("g")
        for client in self.all:
            if group is None or client.member_id not in group.members:
                client.drop_everything()

    @rule(topic=st.sampled_from(TOPICS), more=st.integers(1, 3))
    def grow(self, topic, more):
        self.topics[topic] = self.topics.get(topic, 0) + more
        self.cluster.set_topics(**self.topics)

    @rule(topic=st.sampled_from(TOPICS))
    def delete_topic(self, topic):
        self.topics.pop(topic, None)
        self.cluster.set_topics(**self.topics)
        for client in self.all:
            client.consumed = {each for each in client.consumed if each[0] != topic}
            if client.assigned is not None:
                client.assigned = {each for each in client.assigned if each[0] != topic}

    @rule()
    def fail_over(self):
        self.cluster.restart()

    # What always holds

    @invariant()
    def no_partition_is_consumed_twice(self):
        consumed = Counter(each for client in self.all for each in client.consumed)
        assert not [each for each, times in consumed.items() if times > 1]

    @invariant()
    def no_partition_has_two_owners(self):
        group = self.cluster.shard.state.groups.get("g")
        if group is None:
            return
        owned = Counter(
            (topic_id, number)
            for member in group.members.values()
            for partitions in (member.current.assigned, member.current.pending_revocation)
            for topic_id, epochs in partitions.items()
            for number in epochs
        )
        assert not [each for each, times in owned.items() if times > 1]
        for client in self.all:
            if client.consumed and client.epoch > 0 and client.member_id in group.members:
                assert all(
                    group.is_owned(self.cluster.image.topics[topic].topic_id, number)
                    for topic, number in client.consumed
                )

    def teardown(self):
        self.cluster.check_replay()
        for _ in range(40):
            for client in self.all:
                self.apply(client)
                self.heartbeat(client, answered=True)
                self.no_partition_is_consumed_twice()
            self.wait(5_000)
        self._check_settled()
        self.cluster.check_replay()

    def _check_settled(self):
        group = self.cluster.shard.state.groups.get("g")
        alive = [client for client in self.all if client.alive and client.epoch > 0]
        assert {client.member_id for client in alive} == (set(group.members) if group else set())
        if not alive:
            return
        assert group.state_name == "Stable"
        wanted = {
            (topic.name, number)
            for topic in self.cluster.image.topics.values()
            if group.is_subscribed_to_topic(topic.name)
            for number in range(len(topic.partitions))
        }
        assert Counter(each for client in alive for each in client.consumed) == Counter(wanted)
        ids = {client.member_id: client.by_topic() for client in alive}
        for member_id, target in group.target.items():
            names = {self.cluster.image.topics_by_id[t].name: sorted(n) for t, n in target.items()}
            assert {topic: sorted(numbers) for topic, numbers in ids[member_id].items()} == names


def test_members_that_come_and_go(new_cluster):
    ConsumerGroupMachine.new_cluster = staticmethod(new_cluster)
    run_state_machine_as_test(
        ConsumerGroupMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
