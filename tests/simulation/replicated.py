"""The scenario of clusters: three brokers, replicated topics, and all that goes wrong between machines.

A seed is of one of two kinds. Where one machine at a time loses its power, nothing is flushed, and what is
committed stays so for ever. Where several do, `ottla.acks.all.flush` is true, and only what was acknowledged
has to last: an *era* ends with each power loss, and what was read is held against what is read in the same.

Forbidden is, beside what is logged with a traceback or hangs:

- lost: an acknowledged value is not read at its offset in the end
- an offset with two values, a value at two offsets (each is sent once, or by an idempotent producer)
- two leaders in one leader epoch, in the metadata or by what brokers believe; epochs that go back
- replicas that differ below the high watermark of one of them
- a high watermark past the log end of a broker that is in sync
- a leader whose registration has been gone for longer than its lease
- a cluster that does not come to rest once nothing is wrong any more
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.simulation.client import NoAnswerError
from tests.simulation.cluster import Cluster
from tests.simulation.cluster_clients import ReplicatedConsumer, ReplicatedProducer, logs_of
from tests.simulation.cluster_faults import ClusterFaults
from tests.simulation.history import Log, Seen
from tests.simulation.machine import EPOCH_MS
from tests.simulation.records import Topic, create_topics
from tests.simulation.world import Outcome, World

from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import KafkaError
from ottla.records.batch import iter_headers
from ottla.replica.partition import Partition
from ottla.replica.replica import Replica

DURATION_S = 10
"""For as long faults come."""
_REST_S = 40.0
"""Within this everything is well again afterwards."""
_CHECK_S = 0.1
_LEASE_S = 1.5
_MAX_BYTES = 1 << 24
_INTERNAL = f"{model.PARTITIONS}__"

TOPICS = (
    Topic("first", 2, {"min.insync.replicas": "2", "internal.segment.bytes": "1500"}),
    Topic("second", 1, {"min.insync.replicas": "2"}),
)
SETTINGS = {
    "broker.heartbeat.interval.ms": "300",
    "broker.session.timeout.ms": str(int(_LEASE_S * 1000)),
    "leader.imbalance.check.interval.seconds": "2",
    "log.flush.offset.checkpoint.interval.ms": "900",
    "log.flush.start.offset.checkpoint.interval.ms": "900",
    "log.initial.task.delay.ms": "300",
    "offsets.topic.num.partitions": "1",
    "replica.fetch.backoff.ms": "200",
    "replica.fetch.wait.max.ms": "200",
    "replica.lag.time.max.ms": "1000",
    "replica.socket.timeout.ms": "1000",
    "socket.connection.setup.timeout.ms": "1000",
}
"""What a broker does once in seconds it does several times in one."""


def counts(outcome: Outcome) -> bool:
    """Whether what is to be survived has happened in it."""
    return all(outcome.stats.get(what) for what in _HAS_TO_HAPPEN)


_HAS_TO_HAPPEN = (
    "elections",
    "ISR shrinks",
    "ISR growths",
    "truncations",
    "unknown outcomes",
    "controller changes",
)


class ReplicatedHistory:
    """What clients wrote and read, and what copies hold; `violations` is what must not be in it."""

    def __init__(self, forbid: Callable[[str], None]) -> None:
        self.forbid = forbid
        self.era = 0
        self._sent: dict[Log, dict[bytes, None]] = defaultdict(dict)
        self._acknowledged: dict[Log, dict[int, bytes]] = defaultdict(dict)
        self._committed: dict[Log, dict[int, bytes]] = defaultdict(dict)
        self._batches: dict[Log, dict[int, tuple[int, int]]] = defaultdict(dict)

    def end_era(self) -> None:
        """What was committed and not acknowledged may have gone."""
        self.era += 1
        self._committed.clear()
        self._batches.clear()

    def sent(self, log: Log, values: Iterable[bytes]) -> None:
        self._sent[log].update(dict.fromkeys(values))

    def acknowledged(self, log: Log, values: Sequence[bytes], offset: int) -> None:
        for at, value in enumerate(values, offset):
            other = self._acknowledged[log].setdefault(at, value)
            if other != value:
                self.forbid(f"offset {at} of {log} was acknowledged for {other!r} and for {value!r}")

    def read(self, reader: str, log: Log, records: Iterable[Seen]) -> None:
        """Below the high watermark, in the present era."""
        for record in records:
            for known in (self._committed[log], self._acknowledged[log]):
                other = known.get(record.offset, record.value)
                if other != record.value:
                    self.forbid(
                        f"offset {record.offset} of {log} has two values: {other!r}, and {record.value!r} "
                        f"by {reader}"
                    )
            self._committed[log][record.offset] = record.value

    def out_of_range(self, reader: str, log: Log, position: int) -> None:
        self.forbid(f"{reader} has read {log} up to {position}, and is told that it is out of range")

    def holds(self, machine: str, log: Log, offset: int, batch: tuple[int, int]) -> None:
        """A copy has this batch (leader epoch and checksum) below its high watermark."""
        other = self._batches[log].setdefault(offset, batch)
        if other != batch:
            self.forbid(f"{log} differs below the high watermark: {machine} has another batch at {offset}")

    def check(self, log: Log, records: Sequence[Seen]) -> None:
        """All that is left of a log in the end."""
        self.read("the last reader", log, records)
        found = {record.offset: record.value for record in records}
        for offset, value in sorted(self._acknowledged[log].items()):
            if found.get(offset) != value:
                self.forbid(f"lost: {value!r} from offset {offset} of {log}, which has {found.get(offset)!r}")
        offsets: dict[bytes, int] = {}
        for record in records:
            if record.value not in self._sent[log]:
                self.forbid(f"{record.value!r} at offset {record.offset} of {log} was never sent there")
            other = offsets.setdefault(record.value, record.offset)
            if other != record.offset:
                self.forbid(f"{record.value!r} is at {other} and {record.offset} of {log}")


class _Copy(NamedTuple):
    node_id: int
    life: int
    replica: Replica


class Replicated:
    """One run."""

    topics: Sequence[Topic] = TOPICS
    """Whose copies are compared"""
    internal_topics: Sequence[Topic] = ()
    settings: Mapping[str, str] = SETTINGS

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random("scenario")
        self.loses_all = self.random.random() < 0.5
        world.stats["seeds in which all lose power"] += self.loses_all
        settings = {**self.settings, "ottla.acks.all.flush": str(self.loses_all).lower()}
        self.cluster = Cluster(world, 2 + world.has("a third broker"), settings)
        self.history = ReplicatedHistory(self._forbid)
        self.is_over = False
        self._leaders: dict[tuple[Log, int], tuple[int, int]] = {}
        self._checked: dict[tuple[int, int, Log], int] = {}
        self._registered: dict[tuple[int, int], float] = {}
        """When a broker (and life) was last seen in the epoch that it knows"""

    def _forbid(self, what: str) -> None:
        self.world.trace.note("checker", "forbidden", what)
        self.world.history.forbid(what)

    def now_ms(self) -> int:
        return EPOCH_MS + int(self.world.loop.time() * 1000)

    async def run(self) -> None:
        world, cluster = self.world, self.cluster
        await cluster.start()
        topics = [*self.topics, *self.internal_topics]
        await create_topics(world.client("admin", cluster.machines[1]), topics, len(cluster.machines))
        seconds = sum(world.has(f"second {number + 1}") for number in range(DURATION_S))
        until = world.loop.time() + seconds
        watching = asyncio.create_task(self._watch())
        checking = asyncio.create_task(self._check_on())
        work = self.work(until)
        faults = ClusterFaults(self)
        await asyncio.gather(faults.run(until), *work)
        await faults.heal()
        await self.look_at_rest()
        world.stats["truncations"] += world.logged["%s is cut from offset %d to %d"]
        for task in (watching, checking):
            task.cancel()
        await asyncio.wait([watching, checking])
        for task in (watching, checking):
            if not task.cancelled():
                task.result()
        await cluster.stop()

    def work(self, until: float) -> list[Coroutine[Any, Any, None]]:
        """What clients do meanwhile."""
        producers = [
            ReplicatedProducer(
                self,
                f"producer {number}",
                self.random.choice(TOPICS),
                is_idempotent=self.random.random() < 0.6,
            )
            for number in range(3)
        ]
        work: list[Coroutine[Any, Any, None]] = [
            each.run(until, pause_s=0.15) for each in producers if self.world.has(each.name)
        ]
        if self.world.has("consumer"):
            work.append(ReplicatedConsumer(self, "consumer", TOPICS[0]).run(until, pause_s=0.2))
        return work

    # -- what the store says

    async def _watch(self) -> None:
        """Count what changes, and judge it."""
        stats, forbid = self.world.stats, self.history.forbid
        states: dict[str, model.PartitionState] = {}
        leaders: dict[tuple[str, int], int] = {}
        async for revision in self.cluster.store.watch("/", 1):
            for event in revision.events:
                if event.key == model.CONTROLLER:
                    stats["controller changes"] += event.value is not None
                if event.key.startswith(model.BROKERS) and event.value is not None:
                    # It may come and go between two looks.
                    self._note_registered(int(event.key.removeprefix(model.BROKERS)))
                if not event.key.startswith(model.PARTITIONS) or event.value is None:
                    continue
                state = model.decode_partition(event.value, event.revision)
                known = leaders.setdefault((event.key, state.leader_epoch), state.leader)
                if known != state.leader:
                    forbid(f"{event.key} is led by {known} and {state.leader} in epoch {state.leader_epoch}")
                before = states.get(event.key) or model.initial_state(state.replicas, state.replicas)
                is_elected = state.leader_epoch != before.leader_epoch and state.leader >= 0
                stats["elections"] += is_elected
                stats["elections of coordinators"] += is_elected and event.key.startswith(_INTERNAL)
                stats["ISR shrinks"] += not set(before.isr) <= set(state.isr)
                stats["ISR growths"] += not set(state.isr) <= set(before.isr)
                if (
                    state.leader_epoch < before.leader_epoch
                    or state.partition_epoch <= before.partition_epoch
                ):
                    forbid(f"{event.key} goes back from {before} to {state}")
                states[event.key] = state

    # -- what the copies say

    async def _check_on(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_S)
            image = await self.cluster.image()
            for node_id in self.cluster.machines:
                if self.knows_epoch(node_id, image):
                    self._note_registered(node_id)
            for topic in self.topics:
                for log in logs_of(topic):
                    self._check(log, image)

    def _note_registered(self, node_id: int) -> None:
        me = node_id, self.cluster.machines[node_id].lives
        self._registered[me] = self.world.loop.time()

    def _copies(self, log: Log) -> list[_Copy]:
        found = []
        for node_id, machine in self.cluster.machines.items():
            if machine.running is not None:
                try:
                    replica = machine.running.partitions.replica(log.topic, log.partition)
                except KafkaError:
                    continue
                found.append(_Copy(node_id, machine.lives, replica))
        return found

    def _check(self, log: Log, image: MetadataImage) -> None:
        copies = self._copies(log)
        topic = image.topics.get(log.topic)
        if topic is None:
            return
        state = topic.partitions[log.partition]
        in_sync = [
            copy
            for copy in copies
            if copy.node_id in state.isr
            and image.is_active(copy.node_id)
            and self.knows_epoch(copy.node_id, image)
        ]
        for copy in copies:
            self._check_content(log, copy)
            if not isinstance(copy.replica, Partition):
                continue
            me = copy.node_id, copy.life
            now = self.world.loop.time()
            if now - self._registered.get(me, 0) > _LEASE_S + 2 * _CHECK_S:
                self.history.forbid(f"{log} is led by (machine, life) {me}, whose lease has ended")
            leader = self._leaders.setdefault((log, copy.replica.leader_epoch), me)
            if leader != me:
                self.history.forbid(
                    f"{log} is led in epoch {copy.replica.leader_epoch} by (machine, life) {leader} and {me}"
                )
            if copy.replica.leader_epoch != state.leader_epoch:
                continue
            for other in in_sync:
                if other.replica.log.log_end_offset < copy.replica.high_watermark:
                    self.history.forbid(
                        f"the high watermark of {log} is {copy.replica.high_watermark}, and broker "
                        f"{other.node_id}, which is in sync, ends at {other.replica.log.log_end_offset}"
                    )

    def knows_epoch(self, node_id: int, image: MetadataImage) -> bool:
        """Whether the machine is on, in the life that is registered."""
        broker, registered = self.cluster.machines[node_id].running, image.brokers.get(node_id)
        return broker is not None and registered is not None and broker._own_epoch() == registered.epoch

    def _check_content(self, log: Log, copy: _Copy) -> None:
        """Every offset below its high watermark, each once in a life of the machine."""
        own, machine = copy.replica.log, f"broker-{copy.node_id}"
        key = copy.node_id, copy.life, log
        start = max(self._checked.get(key, 0), own.log_start_offset)
        while start < own.high_watermark:
            records = bytes(own.read(start, _MAX_BYTES, own.high_watermark).records)
            after = start
            for _, header in iter_headers(records):
                if header.base_offset > after:
                    self.history.forbid(
                        f"{machine} has nothing of {log} from {after} to {header.base_offset}, "
                        f"and its high watermark is {own.high_watermark}"
                    )
                self.history.holds(machine, log, header.base_offset, (header.leader_epoch, header.crc))
                after = header.next_offset
            if after == start:
                self.history.forbid(
                    f"{machine} has nothing of {log} from {start} on, "
                    f"and its high watermark is {own.high_watermark}"
                )
                after = own.high_watermark
            start = self._checked[key] = after

    # -- in the end

    async def look_at_rest(self) -> None:
        """Once nothing is wrong any more all replicas are the same, and nothing is lost."""
        await self._rest()
        await self._look()

    async def _rest(self) -> None:
        """All replicas are in sync, and the same."""
        loop = self.world.loop
        until = loop.time() + _REST_S
        logs = [log for topic in self.topics for log in logs_of(topic)]
        while left := [why for log in logs if (why := await self._restless(log))]:
            if loop.time() > until:
                for why in left:
                    self.history.forbid(f"it does not come to rest: {why}")
                return
            await asyncio.sleep(0.2)

    async def _restless(self, log: Log) -> str:
        state = (await self.cluster.image()).topics[log.topic].partitions[log.partition]
        copies = self._copies(log)
        ends = [(each.replica.log.log_end_offset, each.replica.high_watermark) for each in copies]
        is_well = (
            state.leader >= 0
            and len(state.isr) == len(copies) == len(self.cluster.machines)
            and len({*sum(ends, ())}) == 1
        )
        return "" if is_well else f"{log}: {state}, ends and high watermarks {ends}"

    async def _look(self) -> None:
        for topic in self.topics:
            for _ in range(50):
                try:
                    found = await ReplicatedConsumer(self, f"reader of {topic.name}", topic).drain()
                except NoAnswerError:
                    await asyncio.sleep(0.3)
                    continue
                for log, records in found.items():
                    self.history.check(log, records)
                break
            else:
                self.history.forbid(f"{topic.name} cannot be read in the end")


async def replicated(world: World) -> None:
    """Three brokers, of which any may go and come."""
    await Replicated(world).run()
