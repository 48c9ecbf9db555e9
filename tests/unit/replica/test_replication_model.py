"""Three replicas of one partition through any order of appends, fetches, elections, ISR changes and crashes.

The roles are the real ones, on logs on a disk; the network and the controller are this machine. Answers to
fetches may be as old as they like. What was once committed is in every leader's log from then on, byte for
byte, and what any replica takes for committed is that.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.replica.neighbours import LAG_MS, Neighbours
from tests.unit.storage.logs import batch, open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.config.broker import broker_config
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import KafkaError
from ottla.records.batch import iter_headers
from ottla.records.codec import ControlType, encode_end_transaction_marker
from ottla.replica.follower import Follower
from ottla.replica.partition import IsrProposal, Partition
from ottla.replica.partitions import validation_options
from ottla.replica.replica import Replica
from ottla.replica.traffic import TopicTraffic
from ottla.replication.isr import FetchClock
from ottla.replication.truncation import EpochEnd
from ottla.storage.log import Log

NODES = (1, 2, 3)
CONFIG = small_segments(min_insync_replicas=2)
TOPIC_ID = UUID(int=1)


class Answer(NamedTuple):
    """What a leader gave a follower, on its way."""

    asked: tuple[int, int]
    """Log end and leader epoch"""
    diverging: EpochEnd | None
    records: bytes
    high_watermark: int
    log_start_offset: int


class Replication(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.state = PartitionState(replicas=NODES, isr=NODES, leader=1)
        self.leading = 1
        self.around = {node: Neighbours(node, b1=1, b2=1, b3=1) for node in NODES}
        self.clocks = {(leader, follower): FetchClock() for leader in NODES for follower in NODES}
        self.roles: dict[int, Replica] = {node: self.role(node, self.open(node)) for node in NODES}
        self.answers: dict[int, list[Answer]] = {node: [] for node in NODES}
        self.written = 0
        self.committed = b""
        self.committed_end = 0

    def open(self, node: int) -> Log:
        return open_at(self.disk, CONFIG, directory=f"/data/{node}/t-0", clean=False)

    def role(self, node: int, log: Log) -> Replica:
        if node != self.state.leader:
            return Follower("t", TOPIC_ID, 0, log, self.state, TopicTraffic())
        options = validation_options(CONFIG, broker_config())
        return Partition(
            "t",
            TOPIC_ID,
            0,
            log,
            self.state,
            options,
            lambda _log: None,
            self.around[node],
            TopicTraffic(),
        )

    @property
    def leader(self) -> Partition:
        found = self.roles[self.state.leader]
        assert isinstance(found, Partition)
        return found

    def decide(self, state: PartitionState) -> None:
        """The cluster's state changes, and all know at once."""
        self.around[self.leading].proposals.clear()
        self.state = dataclasses.replace(state, partition_epoch=self.state.partition_epoch + 1)
        self.leading = self.state.leader
        for node, role in self.roles.items():
            is_leader = node == self.state.leader
            if (isinstance(role, Partition) and is_leader) or (isinstance(role, Follower) and not is_leader):
                role.take_state(self.state)
            else:
                self.roles[node] = self.role(node, role.log)
                role.give_up()

    # -- what happens

    @rule(count=st.integers(1, 3), size=st.integers(0, 100))
    def append(self, count: int, size: int) -> None:
        self.written += 1
        value = b"%d:" % self.written + bytes(size)
        self.leader.append(batch(count, value=value), self.time_ms, acks=1)

    @rule(producer=st.integers(1, 2), is_commit=st.booleans())
    def transact(self, producer: int, is_commit: bool) -> None:
        ids = {"producer_id": producer, "producer_epoch": 0}
        if len(self.leader.state.isr) < self.leader.config.min_insync_replicas:
            return  # it takes nothing then
        self.leader.append_own(
            batch(1, value=b"in a transaction", is_transactional=True, base_sequence=-1, **ids), self.time_ms
        )
        if is_commit:
            kind = ControlType.commit if self.written % 2 else ControlType.abort
            self.leader.append_own(
                encode_end_transaction_marker(
                    kind, **ids, coordinator_epoch=0, timestamp=1_000, base_offset=0
                ),
                self.time_ms,
            )

    @rule(node=st.sampled_from(NODES), limit=st.sampled_from((1, 400, 10_000)))
    def fetch(self, node: int, limit: int) -> None:
        """A follower asks, and the leader answers, which is on its way then."""
        follower, leader = self.roles[node], self.leader
        if not isinstance(follower, Follower):
            return
        offset, epoch = follower.log.log_end_offset, follower.last_epoch
        asked = offset, follower.leader_epoch
        try:
            progress = leader.follower(node, 1, is_fenced=True)
            diverging = leader.diverging_epoch(epoch, offset) if epoch >= 0 else None
            records = b""
            if diverging is None:
                read = leader.read_to_end(offset, limit, min_one=True).records
                records = bytes(read[0 : len(read)])
                clock = self.clocks[self.state.leader, node]
                leader.fetched(progress, offset, follower.log.log_start_offset, 1, self.time_ms, clock)
                clock.last_ms = self.time_ms
        except KafkaError as error:
            raise AssertionError(f"{node} ends at {offset}, epoch {epoch}") from error
        log = leader.log
        end = None if diverging is None else EpochEnd(*diverging)
        self.answers[node].append(Answer(asked, end, records, log.high_watermark, log.log_start_offset))

    @rule(node=st.sampled_from(NODES), data=st.data())
    def deliver(self, node: int, data: st.DataObject) -> None:
        """One of the answers comes; others may never come, or later."""
        if not self.answers[node]:
            return
        self.take(node, self.answers[node].pop(data.draw(st.integers(0, len(self.answers[node]) - 1))))

    @rule(node=st.sampled_from(NODES), rounds=st.integers(1, 2))
    def replicate(self, node: int, rounds: int) -> None:
        """As it mostly goes: asked, answered, taken; and at the second time the leader knows."""
        for _ in range(rounds):
            self.fetch(node, 10_000)
            if self.answers[node]:
                self.take(node, self.answers[node].pop())

    def take(self, node: int, answer: Answer) -> None:
        follower = self.roles[node]
        if not isinstance(follower, Follower):
            return
        if answer.asked != (follower.log.log_end_offset, follower.leader_epoch):
            return
        if answer.diverging is not None:
            follower.truncate(follower.end_in_common(answer.diverging), self.time_ms)
        else:
            follower.append(answer.records, answer.high_watermark, answer.log_start_offset, self.time_ms)

    @rule(data=st.data())
    def elect(self, data: st.DataObject) -> None:
        """Another of those in sync leads, as the one that did is gone for a while, or only is to."""
        leader = data.draw(st.sampled_from(self.state.isr))
        is_gone = data.draw(st.booleans())
        isr = tuple(each for each in self.state.isr if not is_gone or each != self.state.leader)
        if leader in isr:
            self.decide(
                dataclasses.replace(
                    self.state, leader=leader, isr=isr, leader_epoch=self.state.leader_epoch + 1
                )
            )

    @rule(is_done=st.booleans())
    def settle_isr(self, is_done: bool) -> None:
        """What the leader proposed is done, or will never be."""
        proposals: list[IsrProposal] = self.around[self.state.leader].proposals
        if proposals:
            proposal = proposals.pop()
            if proposal.state is self.state and is_done:
                self.decide(dataclasses.replace(self.state, isr=proposal.isr))
            else:
                self.leader.withdraw(proposal)

    @rule(ms=st.sampled_from((1, LAG_MS // 2, LAG_MS + 1)))
    def wait(self, ms: int) -> None:
        for around in self.around.values():
            around.time_ms += ms
        self.around[self.state.leader].look()

    @precondition(lambda self: len(self.state.isr) > 1)
    @rule(node=st.sampled_from(NODES))
    def restart(self, node: int) -> None:
        """A process is killed and started: its log is recovered, the high watermark and its place lost."""
        if node not in self.state.isr:
            return
        isr = tuple(each for each in self.state.isr if each != node)
        self.roles[node].log.close(flush=False)
        self.roles[node].give_up()
        if node == self.state.leader:
            self.state = dataclasses.replace(
                self.state, leader=isr[0], isr=isr, leader_epoch=self.state.leader_epoch + 1
            )
        else:
            self.state = dataclasses.replace(self.state, isr=isr)
        self.roles[node] = Follower("t", TOPIC_ID, 0, self.open(node), self.state, TopicTraffic())
        self.decide(self.state)

    @property
    def time_ms(self) -> int:
        return self.around[1].time_ms

    # -- what must be

    @invariant()
    def what_was_committed_stays_and_all_agree_on_it(self) -> None:
        leader = self.leader
        below = prefix_of(leader, max(self.committed_end, leader.high_watermark))
        assert below.startswith(self.committed), "a leader without what was committed"
        if leader.high_watermark > self.committed_end:
            self.committed, self.committed_end = below, leader.high_watermark
        for node, role in self.roles.items():
            assert self.committed.startswith(prefix_of(role, role.high_watermark)), node
            assert role.high_watermark <= self.committed_end

    def teardown(self) -> None:
        """Left alone, all become the same, in every respect."""
        for _ in range(40):
            for node in NODES:
                self.replicate(node, 1)
            self.settle_isr(is_done=True)
        end = self.leader.log.log_end_offset
        assert len(self.state.isr) == 3
        for role in self.roles.values():
            assert (role.log.log_end_offset, role.high_watermark) == (end, end)
            assert prefix_of(role, end) == prefix_of(self.leader, end)
            assert role.log.producer_state.describe() == self.leader.log.producer_state.describe()
            assert role.last_stable_offset == self.leader.last_stable_offset
        self.what_was_committed_stays_and_all_agree_on_it()


def prefix_of(role: Replica, end_offset: int) -> bytes:
    """The batches below an offset."""
    data, offset = b"", 0
    while offset < end_offset:
        records = role.log.read(offset, 1 << 20, end_offset).records
        found = bytes(records[0 : len(records)])
        for position, header in iter_headers(memoryview(found)):
            if header.next_offset > end_offset:
                return data
            data += found[position : position + header.size]
            offset = header.next_offset
        if not found:
            return data
    return data


TestReplication = Replication.TestCase
TestReplication.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
