"""Random members come, go, die and restart, while writes fail and coordinators move: all must end well."""

from __future__ import annotations

from itertools import combinations
from typing import Any, TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ottla.coordination.groups.classic.records import group_metadata_record
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.records.group import GroupMetadataValue

TIMEOUTS_MS = st.sampled_from([(6_000, 10_000), (10_000, 3_000)])
"""Of the session and of a rebalance."""

REJOIN = {
    ErrorCode.rebalance_in_progress,
    ErrorCode.illegal_generation,
    ErrorCode.not_coordinator,
    ErrorCode.coordinator_not_available,
    ErrorCode.unknown_server_error,
}


Kind: TypeAlias = tuple[str | None, int, tuple[int, int]]
KINDS = st.one_of(
    st.tuples(st.none(), st.sampled_from([3, 5, 9]), TIMEOUTS_MS),
    st.tuples(st.sampled_from("abc"), st.sampled_from([5, 8, 9]), TIMEOUTS_MS),
)
"""Instance id, version of JoinGroup (static members came with version 5), and timeouts."""


class Client:
    """A consumer as client libraries write it: it joins, syncs, heartbeats, and obeys the error codes."""

    def __init__(self, driver: Any, kind: Kind) -> None:
        self.driver = driver
        self.instance, self.version, (self.session_timeout_ms, self.rebalance_timeout_ms) = kind
        self.metadata = b"1"
        self.member_id = ""
        self.generation = -1
        self.assignment: bytes | None = None
        self.alive = True
        self.handle: Any = None
        self.join()

    @property
    def is_stable(self) -> bool:
        return self.alive and self.assignment is not None

    def join(self) -> None:
        self.assignment = None
        self.handle = self.driver.join(
            member_id=self.member_id,
            instance=self.instance,
            version=self.version,
            session_timeout_ms=self.session_timeout_ms,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            protocols={"range": self.metadata, "sticky": b""},
        )

    def poll(self) -> None:
        if not self.alive or self.handle in self.driver.pending:
            return
        if self.handle is None:
            self.obey(self.driver.heartbeat(self.generation, self.member_id, instance=self.instance))
            return
        response = self.driver.replies[self.handle]
        is_join = self.handle[0] == 11
        self.handle = None
        code = response["error_code"]
        if code is ErrorCode.member_id_required:
            self.member_id = response["member_id"]
            self.join()
        elif code is not ErrorCode.none:
            self.obey(code)
        elif is_join:
            self.sync(response)
        else:
            self.assignment = response["assignment"]

    def obey(self, code: ErrorCode) -> None:
        if code is ErrorCode.fenced_instance_id:
            self.alive = False
        elif code is ErrorCode.unknown_member_id:
            self.member_id = ""
            self.join()
        elif code is not ErrorCode.none:
            assert code in REJOIN, code
            self.join()

    def sync(self, join: dict[str, Any]) -> None:
        self.member_id, self.generation = join["member_id"], join["generation_id"]
        assignment = {}
        if join["leader"] == self.member_id and not join.get("skip_assignment"):
            members = [member["member_id"] for member in join["members"]]
            assignment = {member: f"{self.generation}:{member}".encode() for member in members}
        self.handle = self.driver.sync(self.generation, self.member_id, assignment, instance=self.instance)


class Simulation(RuleBasedStateMachine):
    """One group; what must hold after every step, and what must hold once the world is quiet."""

    def __init__(self, driver: Any) -> None:
        super().__init__()
        self.driver = driver
        self.clients: list[Client] = []

    def chosen(self, data: st.DataObject) -> Client:
        return data.draw(st.sampled_from([client for client in self.clients if client.alive]))

    def any_alive(self) -> bool:
        return any(client.alive for client in self.clients)

    @initialize(kinds=st.lists(KINDS, min_size=1, max_size=4), together=st.booleans())
    def begin(self, kinds: list[Kind], together: bool) -> None:
        for kind in kinds:
            self.start(kind)
            if not together:
                self.live_on()

    @rule(kind=KINDS)
    def start(self, kind: Kind) -> None:
        if sum(client.alive for client in self.clients) < 6:
            self.clients.append(Client(self.driver, kind))

    @precondition(any_alive)
    @rule(data=st.data(), times=st.integers(1, 3))
    def poll(self, data: st.DataObject, times: int) -> None:
        client = self.chosen(data)
        for _ in range(times):
            client.poll()

    @rule()
    def poll_all(self) -> None:
        for client in self.clients:
            client.poll()

    @rule()
    def live_on(self) -> None:
        """Long enough for a rebalance, when nothing comes in between."""
        for _ in range(12):
            self.poll_all()
            self.driver.advance(250)

    @precondition(any_alive)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.chosen(data).alive = False

    @precondition(any_alive)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        client = self.chosen(data)
        client.alive = False
        if client.member_id:
            self.driver.leave((client.member_id, client.instance))

    @precondition(any_alive)
    @rule(data=st.data(), metadata=st.sampled_from([b"1", b"2"]))
    def subscribe(self, data: st.DataObject, metadata: bytes) -> None:
        client = self.chosen(data)
        client.metadata = metadata
        client.join()

    @precondition(any_alive)
    @rule(data=st.data(), partition=st.integers(0, 3), offset=st.integers(0, 100))
    def commit(self, data: st.DataObject, partition: int, offset: int) -> None:
        client = self.chosen(data)
        if client.is_stable:
            committed = {("t", partition): offset}
            self.driver.commit(committed, client.generation, client.member_id, instance=client.instance)

    @rule(ms=st.sampled_from([1, 500, 3_000, 6_000, 15_000]))
    def wait(self, ms: int) -> None:
        self.driver.advance(ms)

    @rule()
    def fail_over(self) -> None:
        self.driver.restart()

    @rule(fails=st.booleans())
    def break_the_log(self, fails: bool) -> None:
        self.driver.append_error = ErrorCode.not_enough_replicas if fails else None

    @invariant()
    def no_two_members_of_a_generation_share_an_assignment(self) -> None:
        for one, other in combinations([client for client in self.clients if client.is_stable], 2):
            same_place = one.instance is not None and one.instance == other.instance
            assert same_place or one.assignment != other.assignment or not one.assignment

    @invariant()
    def the_group_is_consistent(self) -> None:
        group = self.driver.shard.state.groups.get("g")
        if group is None:
            return
        assert group.is_empty == (not group.members) or group.state_name == "PreparingRebalance"
        assert (group.leader_id in group.members) if group.members else group.leader_id is None
        assert group.static_members == {
            m.group_instance_id: m.member_id for m in group.members.values() if m.is_static
        }
        assert set(group.pending_syncs) <= set(group.members)
        waiting = {m.parked_join or m.parked_sync for m in group.members.values()} - {None}
        assert {info.answer for info in waiting} == set(self.driver.pending.values())
        timed = {key[2] for key in self.driver.timers if key[0] == "classic-session"}
        assert {*group.pending_joins} <= timed <= {*group.members, *group.pending_joins}

    @invariant()
    def compaction_forgets_nothing(self) -> None:
        whole, compacted = self.driver.rebuilt(), self.driver.rebuilt(compacted=True)
        assert persistent(whole) == persistent(compacted)
        assert offsets(whole) == offsets(self.driver.shard)

    def teardown(self) -> None:
        """Everybody who lives ends up in one stable generation, and the log says so."""
        self.driver.append_error = None
        for _ in range(240):
            self.poll_all()
            self.driver.advance(250)
        alive = [client for client in self.clients if client.alive]
        group = self.driver.shard.state.groups.get("g")
        assert not self.driver.outstanding
        if not alive:
            assert group is None or group.state_name == "Empty"
            if self.driver.log.lost_keys:
                return  # as in Kafka, a group that became empty unwritten is written with its next generation
        else:
            assert group.state_name == "Stable"
            assert {client.member_id for client in alive} == set(group.members)
            assert {client.generation for client in alive} == {group.generation_id}
            assert all(client.is_stable and client.assignment for client in alive)
            assert len({client.assignment for client in alive}) == len(alive)
        assert persistent(self.driver.rebuilt()) == persistent(self.driver.shard)


def persistent(shard: Any) -> tuple[Any, Any]:
    """What the log has to keep of a shard: groups without their parked work, and offsets."""
    groups = {}
    for group_id, group in shard.state.groups.items():
        value = group_metadata_record(group).value
        assert isinstance(value, GroupMetadataValue)
        if not group.is_empty:
            # A stable group's record was written when its joins ended.
            value.current_state_timestamp = -1
        groups[group_id] = value
    return groups, offsets(shard)


def offsets(shard: Any) -> dict[Any, Any]:
    return {(group_id, partition): offset for group_id, partition, offset in shard.state.offsets}


@pytest.mark.parametrize("initial_delay_ms", [0, 3_000])
def test_random_members_converge(new_driver: Any, initial_delay_ms: int) -> None:
    run_state_machine_as_test(
        lambda: Simulation(new_driver(group_initial_rebalance_delay_ms=initial_delay_ms)),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
