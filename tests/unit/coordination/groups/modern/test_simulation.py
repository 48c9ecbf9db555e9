"""Members that heartbeat truthfully, die, lose answers, come and go, while topics and shards change.

Whatever happens, no partition is consumed by two members at once, every record can be replayed, and once
things calm down all reach the target: every partition is consumed, by one member. A run is its seed.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.leave_group import LeaveGroupRequest

TOPICS = ("t1", "t2", "t3")
SUBSCRIPTIONS = (
    *({"topics": ["t1"]}, {"topics": ["t1", "t2"]}, {"topics": ["t2", "t3"]}, {"topics": []}),
    *({"regex": "t.*"}, {"regex": "t[12]"}, {"topics": ["t1"], "regex": "t3"}),
)
STEPS = 80


class Client:
    """A consumer: what it consumes, and what it has been assigned and not taken up yet."""

    def __init__(self, member_id: str, instance: str | None, assignor: str) -> None:
        self.member_id = member_id
        self.instance = instance
        self.assignor = assignor
        self.subscription: dict[str, Any] = {}
        self.alive = True
        self.epoch = 0
        self.consumed: set[tuple[str, int]] = set()
        self.assigned: set[tuple[str, int]] | None = None
        self.reported: dict[str, list[int]] = {}
        """What its last heartbeat that was answered said; it is told again only when it has changed."""
        self.owes_full_request = False
        self.repeats = False
        """After a lost answer it sends the same once more, as librdkafka does; others send everything."""
        self.unanswered: dict[str, Any] | None = None

    def subscribe(self, subscription: dict[str, Any]) -> None:
        self.subscription = {"topics": [], "regex": "", **subscription}
        self.owes_full_request = True

    def drop_everything(self) -> None:
        self.epoch, self.consumed, self.assigned, self.reported = 0, set(), None, {}
        self.unanswered = None

    def request(self) -> dict[str, Any]:
        """The fields of its next heartbeat."""
        if self.unanswered is not None:
            return self.unanswered
        owned = self.owned()
        fields: dict[str, Any] = {"epoch": self.epoch, "instance": self.instance}
        if self.epoch == 0 or self.owes_full_request:
            fields |= self.subscription | {"assignor": self.assignor, "rebalance_timeout_ms": 20_000}
            fields["owned"] = owned
        elif owned != self.reported:
            fields["owned"] = owned
        return fields

    def owned(self) -> dict[str, list[int]]:
        """All that it may be consuming before its next heartbeat, by topic."""
        owned: dict[str, list[int]] = {}
        for topic, number in sorted(self.consumed | (self.assigned or set())):
            owned.setdefault(topic, []).append(number)
        return owned

    def forget_topic(self, name: str) -> None:
        self.consumed = {each for each in self.consumed if each[0] != name}
        self.assigned = self.assigned and {each for each in self.assigned if each[0] != name}

    def take(self, response: dict[str, Any], assignment: dict[str, list[int]] | None) -> None:
        """Obey an answer; what is assigned is taken up later."""
        code = response["error_code"]
        self.owes_full_request, self.unanswered = False, None
        if code is ErrorCode.none:
            self.epoch = response["member_epoch"]
            if assignment is not None:
                self.assigned = {(topic, n) for topic, numbers in assignment.items() for n in numbers}
            return
        assert code in (
            *(ErrorCode.unknown_member_id, ErrorCode.fenced_member_epoch, ErrorCode.group_id_not_found),
            *(ErrorCode.unreleased_instance_id, ErrorCode.fenced_instance_id),
        ), response
        self.drop_everything()
        self.alive = code is not ErrorCode.fenced_instance_id


class ClassicClient:
    """A consumer of the classic protocol: cooperative, or eager and giving everything back for each round."""

    def __init__(self, member: Any, *, eager: bool) -> None:
        self.member = member
        self.eager = eager
        self.alive = True
        self.next = self.join

    @property
    def member_id(self) -> str:
        return self.member.member_id

    @property
    def consumed(self) -> set[tuple[str, int]]:
        return {(topic, number) for topic, numbers in self.member.owned.items() for number in numbers}

    def drop_everything(self) -> None:
        self.member.member_id, self.member.owned, self.next = "", {}, self.join

    def forget_topic(self, name: str) -> None:
        self.member.owned.pop(name, None)

    def join(self) -> None:
        if self.eager:
            self.member.owned = {}
        self.obey(self.member.join()["error_code"], self.sync)

    def sync(self) -> None:
        before = self.consumed
        code = self.member.sync()
        self.obey(code, self.heartbeat if self.consumed >= before else self.join)

    def heartbeat(self) -> None:
        self.obey(self.member.beat(), self.heartbeat)

    def obey(self, code: ErrorCode, following: Any) -> None:
        if code is ErrorCode.none:
            self.next = following
        elif code is ErrorCode.rebalance_in_progress:
            self.next = self.join
        else:
            assert code in (ErrorCode.unknown_member_id, ErrorCode.illegal_generation), code
            self.drop_everything()


class Simulation:
    """What can happen is every method that begins with `do_`."""

    def __init__(self, cluster: Any, random: Random, *, mixed: bool = False) -> None:
        self.cluster = cluster
        self.random = random
        self.topics = {"t1": 4, "t2": 2}
        self.incarnations: Counter[str] = Counter()
        self.cluster.set_topics(self.incarnations, **self.topics)
        self.clients: list[Client] = []
        self.classic: list[ClassicClient] = []
        self.actions = {
            self.do_heartbeat: 30,
            self.do_take_up: 20,
            self.do_revoke_only: 5,
            self.do_wait: 12,
            self.do_join: 6,
            self.do_resubscribe: 3,
            self.do_leave: 3,
            self.do_die: 2,
            self.do_change_topics: 4,
            self.do_fail_over: 1,
        }
        if mixed:
            self.actions |= {self.do_classic_join: 8, self.do_classic_step: 60, self.do_classic_end: 4}

    def run(self) -> None:
        for action in self.random.choices(list(self.actions), list(self.actions.values()), k=STEPS):
            action()
            self.check()
        self.cluster.check_replay()
        self.calm_down()

    @property
    def everybody(self) -> list[Client | ClassicClient]:
        return [*self.clients, *self.classic]

    @property
    def living(self) -> list[Client]:
        return [client for client in self.clients if client.alive]

    def some(self) -> Client:
        if not self.living:
            self.do_join()
        return self.random.choice(self.living)

    def do_join(self) -> None:
        instance = self.random.choice([None, None, "i-1", "i-2"])
        client = Client(f"m{len(self.clients)}", instance, self.random.choice(["uniform", "range"]))
        client.repeats = self.random.random() < 0.5
        client.subscribe(self.random.choice(SUBSCRIPTIONS))
        self.clients.append(client)
        self.heartbeat(client)

    def do_heartbeat(self) -> None:
        self.heartbeat(self.some(), answered=self.random.random() < 0.8)

    def heartbeat(self, client: Client, *, answered: bool = True) -> None:
        request = client.request()
        response = self.cluster.heartbeat(client.member_id, **request)
        if answered:
            client.reported = request.get("owned", client.reported)
            client.take(response, self.cluster.names(response.get("assignment")))
        elif client.repeats:
            client.unanswered = request
        else:
            client.owes_full_request = True

    def do_take_up(self) -> None:
        self.take_up(self.some())

    def take_up(self, client: Client) -> None:
        if client.assigned is not None:
            client.consumed, client.assigned = client.assigned, None

    def do_revoke_only(self) -> None:
        """Half of taking up: what is gone is given back, what is new is not begun."""
        client = self.some()
        if client.assigned is not None:
            client.consumed &= client.assigned

    def do_resubscribe(self) -> None:
        self.some().subscribe(self.random.choice(SUBSCRIPTIONS))

    def do_die(self) -> None:
        """It stops at once; the group learns of it by its silence."""
        client = self.some()
        client.alive = False
        client.drop_everything()

    def do_leave(self) -> None:
        client = self.some()
        if client.epoch > 0:
            for_good = client.instance is None or self.random.random() < 0.5
            self.cluster.heartbeat(client.member_id, -1 if for_good else -2, instance=client.instance)
        client.alive = False
        client.drop_everything()

    def do_wait(self) -> None:
        """Whoever was silent too long has stopped: a client that cannot heartbeat gives up in time."""
        self.cluster.advance(self.random.choice([500, 1_000, 5_000, 5_000, 20_000, 45_000]))
        members = self.members
        for client in self.everybody:
            if client.member_id not in members:
                client.drop_everything()

    def do_classic_join(self) -> None:
        topics = self.random.choice([("t1",), ("t1", "t2"), ("t2", "t3")])
        client = ClassicClient(self.cluster.classic_member(*topics), eager=self.random.random() < 0.5)
        self.classic.append(client)
        self.step(client)

    def do_classic_step(self) -> None:
        self.step(self.random.choice(self.classic or [None]))

    def step(self, client: ClassicClient | None) -> None:
        """In an empty group the next classic member would find a classic group: another story."""
        if client is not None and client.alive and self.members:
            client.next()

    def do_classic_end(self) -> None:
        """By its word or by its silence."""
        if not self.classic:
            return
        client = self.random.choice(self.classic)
        if client.alive and client.member_id and self.random.random() < 0.5:
            self.cluster.classic(LeaveGroupRequest, members=[{"member_id": client.member_id}])
        client.alive = False
        client.drop_everything()

    def do_change_topics(self) -> None:
        name = self.random.choice(TOPICS)
        if self.random.random() < 0.3:
            self.topics.pop(name, None)
            self.incarnations[name] += 1
            for client in self.everybody:
                client.forget_topic(name)
        else:
            self.topics[name] = self.topics.get(name, 0) + self.random.randrange(1, 4)
        self.cluster.set_topics(self.incarnations, **self.topics)

    def do_fail_over(self) -> None:
        self.cluster.restart()

    @property
    def members(self) -> dict[str, Any]:
        group = self.cluster.shard.state.groups.get("g")
        return {} if group is None else group.members

    def check(self) -> None:
        consumed = Counter(each for client in self.everybody for each in client.consumed)
        assert not [each for each, times in consumed.items() if times > 1], "consumed twice"
        owned = Counter(
            (topic_id, number)
            for member in self.members.values()
            for partitions in (member.current.assigned, member.current.pending_revocation)
            for topic_id, epochs in partitions.items()
            for number in epochs
        )
        assert not [each for each, times in owned.items() if times > 1], "owned twice"

    def calm_down(self) -> None:
        """Nothing happens any more but heartbeats, as long as the longest session and revocation last.

        Of the first, which still move partitions, some answers are lost.
        """
        for round_number in range(80):
            for client in self.living:
                self.take_up(client)
                self.heartbeat(client, answered=round_number > 10 or self.random.random() < 0.8)
                self.check()
            for client in self.classic:
                self.step(client)
                self.check()
            self.cluster.advance(1_000 if round_number < 60 else 5_000)
        self.cluster.check_replay()
        joined = {client.member_id: client for client in self.everybody if client.alive and client.member_id}
        joined = {member_id: client for member_id, client in joined.items() if member_id in self.members}
        assert joined.keys() == self.members.keys()
        if not joined:
            return
        group = self.cluster.group
        assert group.state_name == "Stable"
        names = {topic_id: topic.name for topic_id, topic in self.cluster.image.topics_by_id.items()}
        for member_id, client in joined.items():
            target = group.target.get(member_id, {})
            assert client.consumed == {
                (names[t], number) for t, numbers in target.items() for number in numbers
            }
        wanted = {(t, n) for t, size in self.topics.items() for n in range(size)}
        subscribed = {(t, n) for t, n in wanted if group.is_subscribed_to_topic(t)}
        assert {each for client in joined.values() for each in client.consumed} == subscribed


@pytest.mark.parametrize("seed", range(100))
def test_members_that_come_and_go(new_cluster, seed):
    random = Random(seed)
    cluster = new_cluster(group_consumer_assignment_interval_ms=random.choice([0, 1_000, 15_000]))
    Simulation(cluster, random).run()


@pytest.mark.parametrize("seed", range(60))
def test_members_of_both_protocols(new_cluster, seed):
    random = Random(seed)
    cluster = new_cluster(group_consumer_migration_policy="upgrade")
    Simulation(cluster, random, mixed=True).run()


@pytest.mark.parametrize("mixed", [False, True])
def test_one_seed_gives_one_log(new_cluster, mixed):
    """Nothing depends on where objects lie in memory."""

    def run():
        cluster = new_cluster(group_consumer_migration_policy="upgrade")
        Simulation(cluster, Random(7), mixed=mixed).run()
        return cluster.log.records

    assert run() == run()
