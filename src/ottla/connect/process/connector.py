"""A connector in its process: the worker starts it, asks it for its tasks' configurations, and ends it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from ottla.connect.plugins import CONNECTORS, Plugins
from ottla.connect.process.parent import Parent, described, leave
from ottla.connect.sdk import Connector, Offset, Task
from ottla.connect.worker.frames import Message

_log: Final = logging.getLogger(__name__)


class _Context:
    """`ConnectorContext`"""

    def __init__(self) -> None:
        self.parent: Parent

    def request_task_reconfiguration(self) -> None:
        self.parent.tell("reconfigure")

    def raise_error(self, error: Exception) -> None:
        self.parent.tell("failed", **described(error))

    def offset(self, partition: Offset) -> Offset | None:
        return self.offsets([partition])[0]

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        found: list[Offset | None] = self.parent.call(
            "offsets", partitions=[dict(each) for each in partitions]
        )
        return found


class _Host:
    """One call at a time reaches the connector."""

    def __init__(self, what: Message) -> None:
        self._config: dict[str, str] = what["config"]
        self._lock = threading.Lock()
        self._made: Connector | None = None
        """Not started yet"""
        self._connector: Connector | None = None
        self.context = _Context()

    def version(self, _: Message) -> str:
        with self._lock:
            self._made = self._make()
            return self._made.version()

    def _make(self) -> Connector:
        made: Connector = Plugins().load(self._config["connector.class"], *CONNECTORS)()
        made.context = self.context
        return made

    def start(self, _: Message) -> None:
        with self._lock:
            made, self._made = self._made or self._make(), None
            made.start(self._config)
            self._connector = made

    def task_configs(self, message: Message) -> Message:
        """With the name of the task's class, as Kafka's workers keep it in a task's configuration."""
        with self._lock:
            assert self._connector is not None
            task_class = self._connector.task_class()
            configs = [dict(each) for each in self._connector.task_configs(message["max_tasks"])]
            return {"configs": configs, "class": name_of(task_class)}

    def stop(self, _: Message) -> None:
        with self._lock:
            if self._connector is not None:
                connector, self._connector = self._connector, None
                connector.stop()


def name_of(task_class: type[Task]) -> str:
    kafka_name: Any = getattr(task_class, "kafka_name", None)
    return str(kafka_name) if kafka_name else f"{task_class.__module__}.{task_class.__qualname__}"


def host(what: Message, sock: socket.socket) -> int:
    """Until the worker closes the connection."""
    ended = threading.Event()
    it = _Host(what)
    handlers = {"version": it.version, "start": it.start, "task_configs": it.task_configs, "stop": it.stop}

    def told(event: str, message: Message) -> None:
        if event == "log_level":
            logging.getLogger(message["logger"]).setLevel(message["level"])

    def closed() -> None:
        ended.set()
        threading.Timer(1.0, partial(leave, 0)).start()

    it.context.parent = Parent(sock, handlers, told, closed)
    ended.wait()
    return 0
