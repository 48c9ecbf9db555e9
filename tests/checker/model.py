"""Valid histories at random: logs, transactions and groups as they should be, and clients that use them.

Producers send values to the topic `plain`, and in transactions to `in`. Workers, each with a partition of
its own, make of each value of `in` one of `out`. Readers read all. Answers get lost, clients crash and their
zombies go on, and the power fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.checker.history import History, Kind, Operation, Outcome, Partition, Send
from tests.checker.offsets import Transform

PARTITIONS = 2
GROUP = "workers"


def source(value: str) -> str | None:
    """What a value of `out` was made of."""
    return value.split("|", maxsplit=1)[0]


TRANSFORM = Transform(GROUP, "in", "out", source)


@dataclass(slots=True)
class _Transaction:
    is_open: bool = True
    is_committed: bool = False
    offsets: dict[Partition, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Entry:
    value: str | None
    """None of a marker."""
    transaction: _Transaction | None
    is_durable: bool


class _Log:
    def __init__(self) -> None:
        self.entries: list[_Entry] = []

    @property
    def stable_offset(self) -> int:
        for offset, entry in enumerate(self.entries):
            if entry.transaction is not None and entry.transaction.is_open:
                return offset
        return len(self.entries)

    def read(self, start: int, limit: int, *, is_committed: bool) -> tuple[list[tuple[int, str]], int]:
        """Records, and the position behind them."""
        end = min(start + limit, self.stable_offset if is_committed else len(self.entries))
        records = []
        for offset in range(start, end):
            entry = self.entries[offset]
            is_aborted = entry.transaction is not None and not entry.transaction.is_committed
            if entry.value is not None and not (is_committed and is_aborted):
                records.append((offset, entry.value))
        return records, max(start, end)

    def lose(self, keep: Callable[[], bool]) -> None:
        """What is behind the last durable entry, up to where `keep` says so."""
        while self.entries and not self.entries[-1].is_durable and not keep():
            self.entries.pop()


class _World:
    """The broker, and what all clients share."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.time = 0.0
        self.history = History(self._tick)
        self.logs = {
            Partition(topic, i): _Log() for topic in ("plain", "in", "out") for i in range(PARTITIONS)
        }
        self.committed: dict[Partition, int] = {}
        self.current: dict[str, tuple[str, _Transaction | None]] = {}
        """Who may use a transactional id, and the open transaction."""
        self.era = 0
        self.values = 0

    def _tick(self) -> float:
        self.time += self.random.uniform(0.001, 0.1)
        return self.time

    def new_value(self, of: str = "") -> str:
        self.values += 1
        return f"{of}|{self.values}" if of else f"v{self.values}"

    def append(self, send: Send, transaction: _Transaction | None, *, is_answered: bool) -> None:
        log = self.logs[send.partition]
        log.entries.append(_Entry(send.value, transaction, is_answered))
        if is_answered:
            for entry in log.entries:
                entry.is_durable = True
            send.acknowledge(len(log.entries) - 1, self.era)

    def end(self, transaction: _Transaction, *, commit: bool) -> None:
        transaction.is_open, transaction.is_committed = False, commit
        for log in self.logs.values():
            if any(entry.transaction is transaction for entry in log.entries):
                log.entries.append(_Entry(None, None, is_durable=True))
                for entry in log.entries:
                    entry.is_durable = True
        if commit:
            self.committed.update(transaction.offsets)

    def poll(self, operation: Operation, at: Partition, start: int, *, is_committed: bool) -> int:
        """The position behind what was read."""
        log = self.logs[at]
        records, end = log.read(start, self.random.randrange(1, 6), is_committed=is_committed)
        operation.poll(
            at,
            records,
            end=end,
            high_watermark=len(log.entries),
            stable_offset=log.stable_offset,
            is_committed=is_committed,
            era=self.era,
        )
        return end

    def read_offsets(self, process: str) -> Mapping[Partition, int]:
        operation = self.history.begin(Kind.committed, process)
        for number in range(PARTITIONS):
            at = Partition("in", number)
            if at in self.committed:
                operation.commit_offset(GROUP, at, self.committed[at])
        operation.end(Outcome.ok)
        return self.committed

    def lose_power(self) -> None:
        self.era += 1
        for log in self.logs.values():
            log.lose(lambda: self.random.random() < 0.5)


def _plain_producer(world: _World, name: str) -> Iterator[None]:
    random = world.random
    while True:
        operation = world.history.begin(Kind.send, name)
        at = Partition("plain", random.randrange(PARTITIONS))
        sends = [operation.send(at, world.new_value()) for _ in range(random.randrange(1, 4))]
        yield
        outcome = random.choice([Outcome.ok, Outcome.ok, Outcome.ok, Outcome.failed, Outcome.unknown])
        if outcome is Outcome.ok or (outcome is Outcome.unknown and random.random() < 0.5):
            for send in sends:
                world.append(send, None, is_answered=outcome is Outcome.ok)
        operation.end(outcome)
        yield


def _transactional(world: _World, id_: str, life: int, partition: Partition | None) -> Iterator[None]:
    """One life: of a worker on a partition of `in`, or of a producer."""
    process, random, history = f"{id_}.{life}", world.random, world.history

    def is_fenced() -> bool:
        return world.current[id_][0] != process

    operation = history.begin(Kind.init, process, transactional_id=id_)
    yield
    before = world.current.get(id_)
    if before is not None and before[1] is not None and before[1].is_open:
        world.end(before[1], commit=False)
    world.current[id_] = process, None
    operation.end(Outcome.ok)
    while True:
        if is_fenced():
            return
        position = 0
        if partition is not None:
            position = world.read_offsets(process).get(partition, 0)
            history.note(Kind.assign, process, [(partition, position)])
        while True:
            operation = history.begin(Kind.transaction, process, transactional_id=id_)
            transaction = _Transaction()
            if not is_fenced():
                world.current[id_] = process, transaction
            sources = [""] * random.randrange(1, 4)
            target = Partition("in", random.randrange(PARTITIONS))
            if partition is not None:
                target = Partition("out", partition.number)
                position = world.poll(operation, partition, position, is_committed=True)
                sources = [value for _, value in operation.polls[-1].records]
            are_all_answered = True
            for each in sources:
                send = operation.send(target, world.new_value(each))
                yield
                if not is_fenced():
                    is_answered = random.random() < 0.9
                    if is_answered or random.random() < 0.5:
                        world.append(send, transaction, is_answered=is_answered)
                    are_all_answered = are_all_answered and is_answered
            if partition is not None:
                operation.commit_offset(GROUP, partition, position)
                transaction.offsets[partition] = position
            yield
            if are_all_answered and random.random() < 0.8:
                outcome = yield from _commit(world, operation, transaction, is_fenced)
                if outcome is Outcome.unknown:
                    return
                if outcome is Outcome.ok:
                    continue
            elif not is_fenced():
                world.end(transaction, commit=False)
                operation.end(Outcome.failed)
            else:
                operation.end(Outcome.failed)
            break


def _commit(
    world: _World, operation: Operation, transaction: _Transaction, is_fenced: Callable[[], bool]
) -> Generator[None, None, Outcome]:
    operation.ask_to_commit()
    yield
    if is_fenced():
        operation.end(Outcome.failed)
        return Outcome.failed
    is_answered = world.random.random() < 0.85
    if is_answered or world.random.random() < 0.5:
        world.end(transaction, commit=True)
    outcome = Outcome.ok if is_answered else Outcome.unknown
    operation.end(outcome)
    return outcome


def _reader(world: _World, name: str, *, is_committed: bool, subscribes: bool) -> Iterator[None]:
    random, history = world.random, world.history
    positions: dict[Partition, int] = {}

    def move() -> None:
        for at, log in world.logs.items():
            positions[at] = random.randrange(len(log.entries) + 1) if random.random() < 0.3 else 0
        if subscribes:
            history.note(Kind.rebalance, name)
        else:
            history.note(Kind.assign, name, positions.items())

    if subscribes:
        history.note(Kind.subscribe, name)
    move()
    while True:
        operation = history.begin(Kind.poll, name)
        for at in random.sample(sorted(world.logs), random.randrange(1, len(world.logs) + 1)):
            end = len(world.logs[at].entries)
            if positions[at] > end:
                break  # a power loss has taken what was read
            positions[at] = world.poll(operation, at, positions[at], is_committed=is_committed)
        else:
            operation.end(Outcome.ok)
            if random.random() < 0.05:
                move()
            yield
            continue
        operation.end(Outcome.failed)
        move()
        yield


def generate(random: Random, steps: int) -> History:
    """A history of some `steps` operations and what belongs to them, all of them drained in the end."""
    world = _World(random)
    lives = {f"worker {n}": 0 for n in range(PARTITIONS)} | {"producer": 0}
    ids = list(lives)

    def born(id_: str) -> Iterator[None]:
        lives[id_] += 1
        number = ids.index(id_)
        partition = Partition("in", number) if number < PARTITIONS else None
        return _transactional(world, id_, lives[id_], partition)

    running = {id_: born(id_) for id_ in ids}
    others: list[Iterator[None]] = [
        _plain_producer(world, "plain"),
        _reader(world, "committed", is_committed=True, subscribes=False),
        _reader(world, "subscribed", is_committed=True, subscribes=True),
        _reader(world, "uncommitted", is_committed=False, subscribes=False),
    ]
    for _ in range(steps):
        chance = random.random()
        if chance < 0.01:
            world.lose_power()
        elif chance < 0.03:
            id_ = random.choice(ids)
            if random.random() < 0.5:
                others.append(running[id_])  # it does not know that it is over
            running[id_] = born(id_)
        else:
            id_ = random.choice([*ids, ""])
            work = running[id_] if id_ else random.choice(others)
            if next(work, _OVER) is _OVER:
                if id_:
                    running[id_] = born(id_)
                else:
                    others.remove(work)
    _settle(world)
    return world.history


_OVER = object()


def _settle(world: _World) -> None:
    for _, transaction in world.current.values():
        if transaction is not None and transaction.is_open:
            world.end(transaction, commit=False)
    world.read_offsets("last")
    for at, log in world.logs.items():
        operation = world.history.begin(Kind.drain, "last")
        records, end = log.read(0, len(log.entries), is_committed=True)
        operation.poll(at, records, end=end, high_watermark=len(log.entries), era=world.era)
        operation.end(Outcome.ok)
