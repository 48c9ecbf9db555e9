"""Names of what a worker runs, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Self


class ConnectorTaskId(NamedTuple):
    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"


class TargetState(Enum):
    """What a connector is to be; its value is Kafka's word in `connect-configs`."""

    STARTED = "STARTED"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


class Work(NamedTuple):
    """Connectors and tasks, each in an order that does not depend on the run."""

    connectors: tuple[str, ...] = ()
    tasks: tuple[ConnectorTaskId, ...] = ()

    @classmethod
    def of(cls, connectors: Iterable[str], tasks: Iterable[ConnectorTaskId]) -> Self:
        """Sorted, each once."""
        return cls(tuple(sorted(dict.fromkeys(connectors))), tuple(sorted(dict.fromkeys(tasks))))

    def __bool__(self) -> bool:
        return bool(self.connectors or self.tasks)

    def plus(self, other: Work) -> Work:
        return Work.of((*self.connectors, *other.connectors), (*self.tasks, *other.tasks))

    def minus(self, other: Work) -> Work:
        connectors, tasks = frozenset(other.connectors), frozenset(other.tasks)
        return Work(
            tuple(each for each in self.connectors if each not in connectors),
            tuple(each for each in self.tasks if each not in tasks),
        )

    def common(self, other: Work) -> Work:
        connectors, tasks = frozenset(other.connectors), frozenset(other.tasks)
        return Work(
            tuple(each for each in self.connectors if each in connectors),
            tuple(each for each in self.tasks if each in tasks),
        )
