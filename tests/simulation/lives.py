"""Clients that use transactions and live several times, what watches them, and what is left in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Protocol

from tests.checker import Kind, Operation, Outcome, Partition, Transform, judge
from tests.simulation.client import Brokers, Caller, NoAnswerError
from tests.simulation.groups import group_of
from tests.simulation.inputs import Input, NewInput, new_inputs
from tests.simulation.records import Topic
from tests.simulation.transactional import (
    NEWER,
    OLDER,
    TIMEOUT_MS,
    AbortableError,
    FencedError,
    Fetched,
    Reader,
    TransactionalProducer,
)
from tests.simulation.world import World

from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.codec import Record, encode_batch

_PAUSE_S = 0.1
_LIFE_S, _STILL_S = 2.5, 1.5
"""The mean."""
SESSION_MS = 600
"""Of workers that share the input."""
_END_S = 30.0
"""After this no transaction may be open any more."""
_SMALL_SEGMENTS = {"internal.segment.bytes": "1500"}

Restart = Callable[[], Awaitable[None]]

INPUT = Topic("in", 2, _SMALL_SEGMENTS)
OUTPUT = Topic("out", 2, _SMALL_SEGMENTS)
PLAIN = Topic("plain", 1, _SMALL_SEGMENTS)
TOPICS = (INPUT, OUTPUT, PLAIN)
GROUP = "workers"
_INTERNAL = {**_SMALL_SEGMENTS, "cleanup.policy": "compact"}
COORDINATORS = (Topic("__consumer_offsets", 1, _INTERNAL), Topic("__transaction_state", 2, _INTERNAL))
"""Made by hand, so that what is loaded has been compacted."""


def source(value: str) -> str | None:
    """The input that a value of the output was made of."""
    return value.split("|", maxsplit=1)[0]


TRANSFORM = Transform(GROUP, INPUT.name, OUTPUT.name, source)


def clients_of(world: World, brokers: Brokers) -> list[SimulatedClient]:
    """All that write and read."""
    workers = group_of(world, GROUP, brokers, INPUT, SESSION_MS)
    return [
        _Lives(world, brokers, "producer 1", None),
        _Lives(world, brokers, "producer 2", None),
        *(
            _Lives(world, brokers, f"worker {number}", new_input)
            for number, new_input in enumerate(new_inputs(workers))
        ),
        _PlainProducer(world, brokers, "plain producer"),
        _Watcher(world, brokers, "watcher", is_committed=True),
        _Watcher(world, brokers, "uncommitted watcher", is_committed=False),
    ]


def judge_all(world: World) -> None:
    """Forbid what the checker finds."""
    for anomaly in judge(world.operations, [TRANSFORM]):
        world.history.forbid(str(anomaly))


class SimulatedClient(Protocol):
    """Does something until a time."""

    @property
    def name(self) -> str: ...

    async def run(self, until: float) -> None: ...


class _Next(Enum):
    """What a client does after a transaction."""

    another = auto()
    rewind = auto()
    """Begin where the last one began."""
    initialise = auto()


class _Lives:
    """Of the user of a transactional id: a producer, or a worker that has an input."""

    def __init__(self, world: World, brokers: Brokers, name: str, new_input: NewInput | None) -> None:
        self.name = name
        self._world = world
        self._brokers = brokers
        self._random = world.random(name)
        self._new_input = new_input

    async def run(self, until: float) -> None:
        """Live, and again."""
        loop = self._world.loop
        lives: list[asyncio.Task[None]] = []
        while loop.time() < until:
            process = f"{self.name}.{len(lives)}"
            input_ = None if self._new_input is None else self._new_input(process)
            life = _Life(self._world, self._brokers, self.name, process, input_)
            lives.append(loop.create_task(life.run(until)))
            await asyncio.wait([lives[-1]], timeout=self._random.expovariate(1 / _LIFE_S))
            if not lives[-1].done() and self._random.random() < 0.5:
                self._world.stats["crashes"] += 1
                lives[-1].cancel()
            await asyncio.sleep(self._random.expovariate(1 / _PAUSE_S))
        await asyncio.wait(lives)
        for task in lives:
            if not task.cancelled():
                task.result()


class _Life:
    """One process."""

    def __init__(self, world: World, brokers: Brokers, id_: str, process: str, input_: Input | None) -> None:
        self._world = world
        self._id = id_
        self._process = process
        self._input = input_
        self._history = world.operations
        self._random = world.random(f"life of {process}")
        protocol = self._random.choice([NEWER, NEWER, OLDER])
        self._producer = TransactionalProducer(world, brokers, id_, process, protocol)
        self._reader = Reader(brokers, id_)
        self._offsets = brokers.client(id_)
        self._brokers = brokers
        self._positions: dict[Partition, int] = {}
        self._sent = 0

    async def run(self, until: float) -> None:
        try:
            while self._world.loop.time() < until:
                await self._initialise()
                await self._work(until)
        except FencedError:
            self._world.stats["fenced"] += 1
        except NoAnswerError:
            self._world.stats["gave up"] += 1
        else:
            if self._input is not None:
                await self._input.leave()
        finally:
            for client in (self._producer, self._reader, self._offsets):
                client.close()

    async def _initialise(self) -> None:
        operation = self._history.begin(Kind.init, self._process, transactional_id=self._id)
        try:
            await self._producer.initialise()
        except FencedError:
            operation.end(Outcome.failed)
            raise
        except AbortableError as error:
            self._world.history.forbid(f"{self._process} is not initialised: {error}")
            raise NoAnswerError from error
        operation.end(Outcome.ok)

    async def _work(self, until: float) -> None:
        """As long as one may with one initialisation."""
        follows = _Next.rewind
        while self._world.loop.time() < until and follows is not _Next.initialise:
            if follows is _Next.rewind and self._input is not None:
                partitions = await self._input.assign()
                offsets = await read_offsets(self._world, self._offsets, self._process)
                self._positions = {at: offsets.get(at, 0) for at in partitions}
                self._history.note(Kind.assign, self._process, self._positions.items())
            try:
                follows = await self._transact()
            except FencedError:
                if self._random.random() < 0.5:
                    raise
                # Perhaps it was the coordinator alone that would not wait any longer.
                follows = _Next.initialise
            await asyncio.sleep(self._random.expovariate(1 / _PAUSE_S))

    async def _transact(self) -> _Next:
        fetched: Fetched | None = None
        if self._input is not None:
            if not await self._input.is_current():
                return _Next.rewind
            if not self._positions:
                return _Next.another
            fetched = await self._poll(self._random.choice(list(self._positions)))
            if fetched is None:
                return _Next.rewind
            if not fetched.records:
                return _Next.another
        operation = self._history.begin(Kind.transaction, self._process, transactional_id=self._id)
        if fetched is not None:
            _note(operation, fetched)
        try:
            await self._fill(operation, fetched)
        except (AbortableError, NoAnswerError):
            return await self._abort(operation)
        except FencedError:
            self._world.stats["transactions aborted"] += 1
            raise
        if self._random.random() < 0.15:
            return await self._abort(operation)
        return await self._commit(operation)

    async def _poll(self, partition: Partition) -> Fetched | None:
        """None where nothing was read, and nobody knows why."""
        try:
            fetched = await self._reader.fetch({partition: self._positions[partition]})
        except NoAnswerError:
            self._world.stats["answers lost"] += 1
            return None
        return fetched[0] if fetched else None

    async def _fill(self, operation: Operation, fetched: Fetched | None) -> None:
        if fetched is None:
            batches = [
                (Partition(INPUT.name, self._random.randrange(INPUT.partitions)), [""] * self._some())
                for _ in range(self._some())
            ]
        else:
            await self._stand_still()
            target = Partition(OUTPUT.name, fetched.partition.number)
            batches = [(target, [f"{value}|"]) for _, value in fetched.records]
        for partition, made_of in batches:
            sends = []
            for prefix in made_of:
                self._sent += 1
                sends.append(operation.send(partition, f"{prefix}{self._process}#{self._sent}"))
            offset = await self._producer.send(partition, [send.value for send in sends])
            for number, send in enumerate(sends):
                send.acknowledge(None if offset is None else offset + number, self._brokers.era)
        if fetched is not None and self._input is not None:
            # Behind the last record, and no further: a marker may be lost and written again.
            await self._stand_still()
            at, position = fetched.partition, fetched.records[-1][0] + 1
            self._positions[at] = position
            operation.commit_offset(GROUP, at, position)
            await self._producer.commit_offsets(GROUP, {at: position}, self._input.membership)

    async def _stand_still(self) -> None:
        """Perhaps: for so long that others take the input over, or that the transaction is aborted."""
        if self._random.random() < 0.12:
            await asyncio.sleep(self._random.expovariate(1 / _STILL_S))

    def _some(self) -> int:
        return self._random.randrange(1, 4)

    async def _abort(self, operation: Operation) -> _Next:
        self._world.stats["transactions aborted"] += 1
        outcome = await self._producer.end(commit=False)
        if outcome is Outcome.ok:
            operation.end(Outcome.failed)
        return _Next.initialise if self._producer.needs_initialising else _Next.rewind

    async def _commit(self, operation: Operation) -> _Next:
        operation.ask_to_commit()
        outcome = await self._producer.end(commit=True)
        self._world.stats[f"transactions committed: {outcome}"] += 1
        if outcome is not Outcome.unknown:
            operation.end(outcome)
        if outcome is Outcome.failed:
            raise FencedError
        return _Next.another if outcome is Outcome.ok else _Next.initialise


def _note(operation: Operation, fetched: Fetched, *, is_committed: bool = True) -> None:
    operation.poll(
        fetched.partition,
        fetched.records,
        end=fetched.end,
        high_watermark=fetched.high_watermark,
        stable_offset=fetched.stable_offset,
        is_committed=is_committed,
        era=fetched.era,
        leader_epoch=fetched.leader_epoch,
    )


async def read_offsets(world: World, client: Caller, process: str) -> Mapping[Partition, int]:
    """What the workers have committed, once no transaction is about to change it."""
    find = FindCoordinatorRequest(key_type=0, coordinator_keys=[GROUP])
    topics = OffsetFetchRequestTopics(name=INPUT.name, partition_indexes=list(range(INPUT.partitions)))
    request = OffsetFetchRequest(
        require_stable=True, groups=[OffsetFetchRequestGroup(group_id=GROUP, topics=[topics])]
    )
    for _ in range(100):
        operation = world.operations.begin(Kind.committed, process)
        try:
            await client.call(find, 4, FindCoordinatorResponse)
            response = await client.call(request, 8, OffsetFetchResponse)
        except NoAnswerError:
            world.stats["answers lost"] += 1
            continue
        group = response.groups[0]
        results = [each for topic in group.topics for each in topic.partitions]
        code = ErrorCode(group.error_code or max((each.error_code for each in results), default=0))
        world.stats[f"offset fetch: {code.name}"] += 1
        if code is ErrorCode.none:
            found = {
                Partition(INPUT.name, each.partition_index): each.committed_offset
                for each in results
                if each.committed_offset >= 0
            }
            for number in range(INPUT.partitions):
                at = Partition(INPUT.name, number)
                operation.read_offset(GROUP, at, found.get(at))
            operation.end(Outcome.ok)
            return found
        operation.end(Outcome.failed)
        await asyncio.sleep(_PAUSE_S)
    raise NoAnswerError


class _PlainProducer:
    """Idempotent, without transactions; one batch after another."""

    def __init__(self, world: World, brokers: Brokers, name: str) -> None:
        self.name = name
        self._world = world
        self._brokers = brokers
        self._client = brokers.client(name)
        self._random = world.random(name)
        self._sent = 0

    async def run(self, until: float) -> None:
        while self._world.loop.time() < until:
            try:
                given = await self._client.call(InitProducerIdRequest(), 4, InitProducerIdResponse)
                if not given.error_code:
                    await self._produce(given, until)
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            await asyncio.sleep(self._random.expovariate(1 / _PAUSE_S))

    async def _produce(self, given: InitProducerIdResponse, until: float) -> None:
        sequence = 0
        while self._world.loop.time() < until:
            operation = self._world.operations.begin(Kind.send, self.name)
            count = self._random.randrange(1, 4)
            at = Partition(PLAIN.name, 0)
            sends = [operation.send(at, f"{self.name}#{self._sent + n}") for n in range(count)]
            self._sent += count
            records = [
                Record(n, self._brokers.now_ms(), None, s.value.encode(), ()) for n, s in enumerate(sends)
            ]
            batch = encode_batch(
                records,
                producer_id=given.producer_id,
                producer_epoch=given.producer_epoch,
                base_sequence=sequence,
            )
            offset = await self._send(batch)
            for number, send in enumerate(sends):
                send.acknowledge(None if offset < 0 else offset + number, self._brokers.era)
            operation.end(Outcome.ok)
            sequence += count
            await asyncio.sleep(self._random.expovariate(1 / (2 * _PAUSE_S)))

    async def _send(self, batch: bytes) -> int:
        data = TopicProduceData(
            name=PLAIN.name, partition_data=[PartitionProduceData(index=0, records=batch)]
        )
        request = ProduceRequest(acks=-1, timeout_ms=5_000, topic_data=[data])
        for _ in range(self._random.choice([1, 10])):
            try:
                response = await self._client.call(request, 12, ProduceResponse)
            except NoAnswerError:
                continue
            result = response.responses[0].partition_responses[0]
            if result.error_code in {ErrorCode.none, ErrorCode.duplicate_sequence_number}:
                return result.base_offset
            await asyncio.sleep(_PAUSE_S)
        raise NoAnswerError


class _Watcher:
    """Reads everything, from the beginning on."""

    def __init__(self, world: World, brokers: Brokers, name: str, *, is_committed: bool) -> None:
        self.name = name
        self._world = world
        self._random = world.random(name)
        self._reader = Reader(brokers, name, is_committed=is_committed)
        self._positions: dict[Partition, int] = {}

    async def run(self, until: float) -> None:
        self._begin()
        while self._world.loop.time() < until:
            try:
                fetched = await self._reader.fetch(self._positions)
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
                fetched = []
            if fetched is None:
                self._begin()  # a power loss has taken what was read
            elif fetched:
                operation = self._world.operations.begin(Kind.poll, self.name)
                for each in fetched:
                    _note(operation, each, is_committed=self._reader.is_committed)
                    self._positions[each.partition] = each.end
                operation.end(Outcome.ok)
            await asyncio.sleep(self._random.expovariate(1 / _PAUSE_S))

    def _begin(self) -> None:
        self._positions = dict.fromkeys(_partitions(), 0)
        self._world.operations.note(Kind.assign, self.name, self._positions.items())


def _partitions() -> list[Partition]:
    return [Partition(topic.name, n) for topic in TOPICS for n in range(topic.partitions)]


async def look(world: World, brokers: Brokers, restart: Restart | None = None) -> None:
    """Read all that is left, when no transaction can be open any more; `restart` may be needed for that."""
    reader = Reader(brokers, "last reader")
    loop = world.loop
    until = loop.time() + _END_S
    restarts_at = loop.time() + _END_S / 2
    await asyncio.sleep(TIMEOUT_MS / 1000)
    while True:
        try:
            drained = [await _drain(reader, at) for at in _partitions()]
            are_all_over = all(each.end == each.high_watermark for each in drained)
            if are_all_over or loop.time() > until:
                await read_offsets(world, brokers.client("last reader"), "last reader")
                break
        except NoAnswerError:
            world.stats["answers lost"] += 1
        if restart is not None and loop.time() > restarts_at:
            restarts_at = until
            await restart()
        await asyncio.sleep(_PAUSE_S)
    operation = world.operations.begin(Kind.drain, "last reader")
    for each in drained:
        _note(operation, each)
    operation.end(Outcome.ok)


async def _drain(reader: Reader, at: Partition) -> Fetched:
    """The whole partition as one; raises NoAnswerError."""
    records: list[tuple[int, str]] = []
    position = 0
    while True:
        fetched = await reader.fetch({at: position}, max_wait_ms=0)
        if not fetched:
            raise NoAnswerError
        records += fetched[0].records
        if fetched[0].end == position:
            return fetched[0]._replace(records=records)
        position = fetched[0].end
