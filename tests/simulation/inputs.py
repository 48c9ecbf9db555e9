"""What of the input is a worker's: a partition to itself, or what its group gives it for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from tests.checker import Partition
from tests.simulation.client import NoAnswerError
from tests.simulation.groups import ClassicMember, Group


class Membership(NamedTuple):
    """Who commits offsets, as TxnOffsetCommit carries it (KIP-447)."""

    member_id: str = ""
    generation: int = -1


class Input(Protocol):
    """As one life of a worker sees it."""

    @property
    def membership(self) -> Membership: ...

    async def assign(self) -> list[Partition]:
        """What is to be read, from what is committed on; raises NoAnswerError."""

    async def is_current(self) -> bool:
        """Whether what was assigned still is this worker's, as far as one can know."""

    async def leave(self) -> None:
        """Let others have it at once."""


class OwnInput:
    """Nobody else reads it, but the worker's next life, and a former one that does not know it is over."""

    membership = Membership()

    def __init__(self, partition: Partition, _name: str) -> None:
        self._partition = partition

    async def assign(self) -> list[Partition]:
        return [self._partition]

    async def is_current(self) -> bool:
        return True

    async def leave(self) -> None:
        pass


class SharedInput:
    """Its group deals it out anew as members come and go. Who is late learns so when it commits."""

    def __init__(self, group: Group, name: str) -> None:
        self._world = group.world
        self._member = ClassicMember(group, name)
        self._generation = -1
        self._partitions: list[Partition] = []

    @property
    def membership(self) -> Membership:
        return Membership(self._member.member_id, self._generation)

    async def assign(self) -> list[Partition]:
        if self._generation < 0:
            await self._member.find_coordinator()
            self._generation, logs = await self._member.rejoin()
            self._partitions = [Partition(log.topic, log.partition) for log in logs]
            self._world.stats["joins"] += 1
        return self._partitions

    async def is_current(self) -> bool:
        try:
            if await self._member.heartbeat(self._generation):
                return True
        except NoAnswerError:
            self._world.stats["answers lost"] += 1
        self._generation = -1
        return False

    async def leave(self) -> None:
        if self._member.member_id:
            with contextlib.suppress(NoAnswerError):
                await self._member.leave()


NewInput: TypeAlias = Callable[[str], Input]
"""For a process of this name."""


def new_inputs(group: Group) -> list[NewInput]:
    """For as many workers as the topic has partitions: of some seeds they share them."""
    numbers = range(group.topic.partitions)
    if group.world.random("inputs").random() < 0.5:
        return [partial(SharedInput, group) for _ in numbers]
    return [partial(OwnInput, Partition(group.topic.name, number)) for number in numbers]
