"""`connect-status`: what connectors and tasks are doing, as Kafka writes it. Pure."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from ottla.connect.worker.configs import Write
from ottla.connect.worker.ids import ConnectorTaskId
from ottla.connect.worker.json_records import dump, load_object

_CONNECTOR: Final = "status-connector-"
_TASK: Final = "status-task-"
_TOPIC: Final = "status-topic-"
_OF_CONNECTOR: Final = ":connector-"

_log: Final = logging.getLogger(__name__)


class State(Enum):
    UNASSIGNED = "UNASSIGNED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    DESTROYED = "DESTROYED"
    RESTARTING = "RESTARTING"
    STOPPED = "STOPPED"


class Status(NamedTuple):
    """Of a connector or a task, as a worker sees it in a generation of its group."""

    state: State
    worker_id: str
    generation: int = 0
    trace: str | None = None
    version: str | None = None


class TopicStatus(NamedTuple):
    """A topic that a connector uses (KIP-558), and the task that was first."""

    topic: str
    connector: str
    task: int
    discovered_ms: int


def connector_status_written(name: str, status: Status) -> Write:
    return Write((_CONNECTOR + name).encode(), _encode(status))


def task_status_written(task: ConnectorTaskId, status: Status) -> Write:
    return Write(f"{_TASK}{task.connector}-{task.task}".encode(), _encode(status))


def topic_status_written(status: TopicStatus) -> Write:
    value = {
        "topic": {
            "name": status.topic,
            "connector": status.connector,
            "task": status.task,
            "discoverTimestamp": status.discovered_ms,
        }
    }
    return Write(_topic_key(status.topic, status.connector), dump(value))


def topic_status_removed(topic: str, connector: str) -> Write:
    return Write(_topic_key(topic, connector), None)


def _topic_key(topic: str, connector: str) -> bytes:
    return f"{_TOPIC}{topic}{_OF_CONNECTOR}{connector}".encode()


def _encode(status: Status) -> bytes | None:
    if status.state is State.DESTROYED:
        return None
    value = {
        "state": status.state.value,
        "trace": status.trace,
        "worker_id": status.worker_id,
        "generation": status.generation,
        "version": status.version,
    }
    return dump(value)


def _decode(value: bytes) -> Status | None:
    found = load_object(value) or {}
    word, worker_id, generation = found.get("state"), found.get("worker_id"), found.get("generation")
    trace, version = found.get("trace"), found.get("version")
    try:
        state = State(word)
    except ValueError:
        return None
    if not isinstance(worker_id, str) or not isinstance(generation, int):
        return None
    return Status(
        state,
        worker_id,
        generation,
        trace if isinstance(trace, str) else None,
        version if isinstance(version, str) else None,
    )


@dataclass(slots=True)
class Statuses:
    """Changed by `replay` alone."""

    connectors: dict[str, Status] = field(default_factory=dict)
    tasks: dict[str, dict[int, Status]] = field(default_factory=dict)
    topics: dict[str, dict[str, TopicStatus]] = field(default_factory=dict)
    """By connector, then by topic"""

    def task(self, task: ConnectorTaskId) -> Status | None:
        return self.tasks.get(task.connector, {}).get(task.task)

    def may_write(self, before: Status | None, status: Status) -> bool:
        """Whether a worker that stops or fails may say so: not where a later one has begun."""
        return (
            before is None or before.worker_id == status.worker_id or before.generation <= status.generation
        )

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        name = (key or b"").decode("utf-8", "replace")
        if name.startswith(_CONNECTOR):
            self._connector(name.removeprefix(_CONNECTOR), value)
        elif name.startswith(_TASK):
            connector, dash, number = name.removeprefix(_TASK).rpartition("-")
            if dash and number.isdecimal():
                self._task(ConnectorTaskId(connector, int(number)), value)
        elif name.startswith(_TOPIC):
            topic, separator, connector = name.removeprefix(_TOPIC).partition(_OF_CONNECTOR)
            if separator and topic and connector:
                self._topic(topic, connector, value)
        else:
            _log.warning("a record of the status topic is left out, its key says nothing: %s", name)

    def _connector(self, name: str, value: bytes | None) -> None:
        if value is None:
            self.connectors.pop(name, None)
            self.tasks.pop(name, None)
        elif (status := _decode(value)) is not None:
            self.connectors[name] = status

    def _task(self, task: ConnectorTaskId, value: bytes | None) -> None:
        of_connector = self.tasks.setdefault(task.connector, {})
        if value is None:
            of_connector.pop(task.task, None)
            if not of_connector:
                del self.tasks[task.connector]
            return
        status = _decode(value)
        if status is None:
            return
        before = of_connector.get(task.task)
        is_stale = (
            status.state is State.UNASSIGNED
            and before is not None
            and before.state is State.RUNNING
            and before.generation >= status.generation
        )
        if not is_stale:
            of_connector[task.task] = status

    def _topic(self, topic: str, connector: str, value: bytes | None) -> None:
        of_connector = self.topics.setdefault(connector, {})
        if value is None:
            of_connector.pop(topic, None)
            return
        found = (load_object(value) or {}).get("topic")
        if not isinstance(found, dict):
            return
        task, discovered = found.get("task"), found.get("discoverTimestamp")
        if isinstance(task, int) and isinstance(discovered, int):
            of_connector[topic] = TopicStatus(topic, connector, task, discovered)
