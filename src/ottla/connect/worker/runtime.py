"""Connectors and tasks of this worker, each in its process; what they are doing is told to a listener."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ottla.connect.errors import ConnectError
from ottla.connect.worker.client_configs import sink_clients, source_clients, transactional_id
from ottla.connect.worker.connector_config import topics_of
from ottla.connect.worker.frames import Message
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.processes import Process, ProcessError, Processes, RemoteError
from ottla.connect.worker.settings import WorkerConfig, WorkerSettings

_log: Final = logging.getLogger(__name__)

Config = Mapping[str, str]

_INSPECTOR_IDLE_S: Final = 60.0
_CALL_S: Final = 60.0


class Listener(Protocol):
    """What the worker's state is written by. `subject` is a connector's name, or a task."""

    def running(self, subject: str | ConnectorTaskId, version: str | None) -> None: ...

    def paused(self, subject: str | ConnectorTaskId, version: str | None) -> None: ...

    def stopped(self, subject: str, version: str | None) -> None:
        """A connector that is not to run, and has no tasks."""

    def ended(self, subject: str | ConnectorTaskId, version: str | None) -> None:
        """As it was told to."""

    def failed(self, subject: str | ConnectorTaskId, version: str | None, trace: str) -> None: ...

    def uses_topic(self, task: ConnectorTaskId, topic: str) -> None: ...

    def reconfigure(self, connector: str) -> None:
        """It asks for its tasks to be made anew."""


class OffsetsOf(Protocol):
    """Of sources, by connector."""

    async def read(self, connector: str, partitions: Sequence[Mapping[str, object]]) -> list[object]: ...

    async def write(
        self, connector: str, offsets: Sequence[tuple[Mapping[str, object], Mapping[str, object]]]
    ) -> None: ...


@dataclass(slots=True)
class _Running:
    process: Process
    version: str | None = None
    is_failed: bool = False
    is_ending: bool = False
    has_said: bool = False
    """Whether it told how it ended"""
    watch: asyncio.Task[None] | None = field(default=None)


class Inspector:
    """Asks a process about plugins, which ends when nobody asked it for a minute."""

    def __init__(self, spawn: Callable[[Message, Process], Awaitable[Process]]) -> None:
        self._spawn = spawn
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, what: str, /, *, timeout_s: float = _CALL_S, **content: object) -> Any:
        """RemoteError for what a plugin raised; ProcessError where it hangs or has killed the process."""
        async with self._starting:
            if self._process is None or self._process.ended.done():
                self._process = await self._spawn({"role": "inspector"}, Process(_nothing, lambda *_: None))
        process = self._process
        self._rest()
        try:
            return await process.call(what, timeout_s=timeout_s, **content)
        except ProcessError:
            process.kill()
            raise

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_INSPECTOR_IDLE_S, self.close)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            self._process.close()
            self._process = None


def _variables(settings: WorkerSettings) -> dict[str, str]:
    """How connectors get to know where programs of others are."""
    from ottla.connect.connectors.others.environments import FOLDER, INSTALLS

    folder = settings.ottla_connect_environments_dir
    installs = {} if settings.ottla_connect_environments_install else {INSTALLS: "false"}
    return installs if folder is None else {FOLDER: folder, **installs}


async def _nothing(name: str, message: Message) -> object:
    raise ConnectError(f"nobody answers {name} ({len(message)} parts)")


class Runtime:
    def __init__(
        self, config: WorkerConfig, listener: Listener, offsets: OffsetsOf, offsets_topic: str | None
    ) -> None:
        self._config = config
        self._listener = listener
        self._offsets = offsets
        self._offsets_topic = offsets_topic
        self._processes = Processes(_variables(config.settings))
        self._connectors: dict[str, _Running] = {}
        self._tasks: dict[ConnectorTaskId, _Running] = {}
        self._log_levels: dict[str, int] = {}
        self.inspector = Inspector(self._spawn)

    async def start(self) -> None:
        await self._processes.start()

    async def close(self) -> None:
        self.inspector.close()
        await self._processes.close()

    async def _spawn(self, what: Message, process: Process) -> Process:
        levels = {
            "log_level": logging.getLogger().level,
            "log_levels": self._log_levels,
        }
        return await self._processes.spawn({**levels, **what}, process)

    def _log_file(self, connector: str) -> str | None:
        folder = self._config.settings.ottla_connect_logs_dir
        if folder is None:
            return None
        os.makedirs(folder, exist_ok=True)
        safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in connector)
        return os.path.join(folder, f"{safe}.log")

    def set_log_level(self, logger: str, level: int) -> None:
        self._log_levels[logger] = level
        for running in (*self._connectors.values(), *self._tasks.values()):
            running.process.tell("log_level", logger=logger, level=level)

    # Connectors.

    def runs_connector(self, name: str) -> bool:
        return name in self._connectors and not self._connectors[name].is_failed

    def has_connector(self, name: str) -> bool:
        return name in self._connectors

    def version_of(self, name: str) -> str | None:
        running = self._connectors.get(name)
        return None if running is None else running.version

    async def start_connector(self, name: str, config: Config, state: TargetState) -> None:
        """ConnectError where it does not start; its status says so as well."""
        running = _Running(
            Process(self._handler(name), lambda event, it: self._connector_told(name, event, it))
        )
        self._connectors[name] = running
        try:
            what = {
                "role": "connector",
                "name": f"{name}|worker",
                "config": dict(config),
                "log_file": self._log_file(name),
            }
            await self._spawn(what, running.process)
            running.watch = asyncio.ensure_future(self._watch_connector(name, running))
            running.version = await running.process.call("version", timeout_s=_CALL_S)
            if state is TargetState.STARTED:
                await self._begin_connector(name, running)
            elif state is TargetState.PAUSED:
                self._listener.paused(name, running.version)
            else:
                self._listener.stopped(name, running.version)
        except Exception as error:
            running.is_failed = True
            trace = error.trace if isinstance(error, RemoteError) and error.trace else str(error)
            self._listener.failed(name, running.version, trace)
            raise

    async def _begin_connector(self, name: str, running: _Running) -> None:
        timeout_s = self._config.settings.rebalance_timeout_ms / 1000
        await running.process.call("start", timeout_s=timeout_s)
        self._listener.running(name, running.version)

    async def set_connector_state(self, name: str, state: TargetState) -> bool:
        """Whether it runs now and did not before. ConnectError."""
        running = self._connectors.get(name)
        if running is None or running.is_failed:
            return False
        if state is TargetState.STARTED:
            await self._begin_connector(name, running)
            return True
        await running.process.call("stop", timeout_s=_CALL_S)
        tell = self._listener.paused if state is TargetState.PAUSED else self._listener.stopped
        tell(name, running.version)
        return False

    async def task_configs(self, name: str, max_tasks: int) -> tuple[list[dict[str, str]], str]:
        """And the name of the tasks' class. ConnectError."""
        answer: Message = await self._connectors[name].process.call(
            "task_configs", timeout_s=_CALL_S, max_tasks=max_tasks
        )
        return answer["configs"], answer["class"]

    async def stop_connector(self, name: str) -> None:
        running = self._connectors.pop(name, None)
        if running is None:
            return
        running.is_ending = True
        try:
            if not running.is_failed:
                await running.process.call("stop", timeout_s=self._grace_s)
        except ConnectError as error:
            _log.warning("connector %s did not stop: %s", name, error)
        await running.process.end(self._grace_s)
        self._listener.ended(name, running.version)

    @property
    def _grace_s(self) -> float:
        return self._config.settings.task_shutdown_graceful_timeout_ms / 1000

    def _connector_told(self, name: str, event: str, message: Message) -> None:
        if event == "reconfigure":
            self._listener.reconfigure(name)
        elif event == "failed" and (running := self._connectors.get(name)) is not None:
            running.is_failed = True
            self._listener.failed(name, running.version, message["trace"])

    async def _watch_connector(self, name: str, running: _Running) -> None:
        status = await running.process.ended
        if not running.is_ending and not running.is_failed:
            running.is_failed = True
            self._listener.failed(name, running.version, _how(status, "connector"))

    # Tasks.

    def runs_task(self, task: ConnectorTaskId) -> bool:
        return task in self._tasks

    def _handler(self, connector: str) -> Callable[[str, Message], Awaitable[object]]:
        async def answer(name: str, message: Message) -> object:
            if name == "offsets":
                return await self._offsets.read(connector, message["partitions"])
            if name == "commit":
                timeout_ms = self._config.settings.offset_flush_timeout_ms
                try:
                    async with asyncio.timeout(timeout_ms / 1000):
                        await self._offsets.write(connector, [(one, two) for one, two in message["offsets"]])
                except TimeoutError:
                    raise ConnectError(f"offsets were not written within {timeout_ms} ms") from None
                return None
            raise ConnectError(f"there is no call {name}")

        return answer

    async def start_task(
        self, task: ConnectorTaskId, config: Config, task_config: Config, state: TargetState, kind: str
    ) -> None:
        """`kind` is source or sink. ProcessError where there is no process; all else is its status."""
        settings = self._config.settings
        offsets = self._handler(task.connector)

        async def answer(name: str, message: Message) -> object:
            if name in ("failed", "stopped"):
                self._task_ended(task, running, message.get("trace"))
                return None
            return await offsets(name, message)

        running = _Running(Process(answer, lambda event, it: self._task_told(task, running, event, it)))
        what: dict[str, object] = {
            "role": kind,
            "name": f"{task.connector}|task-{task.task}",
            "id": list(task),
            "config": dict(config),
            "task_config": dict(task_config),
            "state": state.value,
            "converters": self._config.converters,
            "policy": _policy(config),
            "flush_interval_ms": settings.offset_flush_interval_ms,
            "log_file": self._log_file(task.connector),
        }
        what |= self._source(task, config) if kind == "source" else _sink(self._config.given, task, config)
        self._tasks[task] = running
        try:
            await self._spawn(what, running.process)
        except BaseException:
            self._tasks.pop(task, None)
            raise
        running.watch = asyncio.ensure_future(self._watch_task(task, running))

    def _source(self, task: ConnectorTaskId, config: Config) -> Message:
        settings, given = self._config.settings, self._config.given
        id_: str | None = None
        transactions: Message | None = None
        if self._config.exactly_once:
            assert settings.group_id is not None
            id_ = transactional_id(settings.group_id, task)
            boundary = config.get("transaction.boundary", "poll").strip().lower()
            interval = config.get("transaction.boundary.interval.ms") or settings.offset_flush_interval_ms
            topic = config.get("offsets.storage.topic") or self._offsets_topic
            transactions = {"boundary": boundary, "interval_ms": int(interval), "offsets_topic": topic}
        return {
            "clients": source_clients(given, config, task, id_),
            "transactions": transactions,
            "creates_topics": settings.topic_creation_enable,
            "tracks_topics": settings.topic_tracking_enable,
        }

    async def stop_tasks(self, tasks: Sequence[ConnectorTaskId]) -> None:
        """All at once; those that take too long are killed."""
        await asyncio.gather(*(self._stop_task(each) for each in tasks))

    async def _stop_task(self, task: ConnectorTaskId) -> None:
        running = self._tasks.pop(task, None)
        if running is None:
            return
        running.is_ending = True
        process = running.process
        if not process.ended.done():
            process.tell("stop")
            await asyncio.wait([process.ended], timeout=self._grace_s)
        if not process.ended.done():
            _log.error("task %s did not stop in time, and is killed", task)
        await process.end(0 if not process.ended.done() else 1)
        if not running.is_failed:
            self._listener.ended(task, running.version)

    def set_task_state(self, task: ConnectorTaskId, state: TargetState) -> None:
        running = self._tasks.get(task)
        if running is not None:
            running.process.tell("resume" if state is TargetState.STARTED else "pause")

    def _task_told(self, task: ConnectorTaskId, running: _Running, event: str, message: Message) -> None:
        if event == "topic":
            if self._config.settings.topic_tracking_enable:
                self._listener.uses_topic(task, message["topic"])
            return
        if running.is_ending or self._tasks.get(task) is not running:
            return
        if event == "started":
            running.version = message["version"]
        is_paused = event == "paused" or (event == "started" and message["paused"])
        (self._listener.paused if is_paused else self._listener.running)(task, running.version)

    def _task_ended(self, task: ConnectorTaskId, running: _Running, trace: str | None) -> None:
        running.has_said = True
        if trace is not None:
            running.is_failed = True
            if not running.is_ending or self._tasks.get(task) is running:
                self._listener.failed(task, running.version, trace)

    async def _watch_task(self, task: ConnectorTaskId, running: _Running) -> None:
        status = await running.process.ended
        running.process.close()
        if not running.has_said and not running.is_ending:
            running.is_failed = True
            self._listener.failed(task, running.version, _how(status, "task"))


def _sink(given: Config, task: ConnectorTaskId, config: Config) -> Message:
    prefix = "errors.deadletterqueue."
    return {
        "clients": sink_clients(given, config, task),
        "topics": topics_of(config),
        "topics_pattern": config.get("topics.regex") or None,
        "letters": {
            "topic": config.get(f"{prefix}topic.name", "").strip(),
            "replication_factor": int(config.get(f"{prefix}topic.replication.factor", 3)),
            "headers": config.get(f"{prefix}context.headers.enable", "").strip().lower() == "true",
        },
    }


def _policy(config: Config) -> list[object]:
    def is_true(name: str) -> bool:
        return config.get(name, "").strip().lower() == "true"

    return [
        int(config.get("errors.retry.timeout", 0)),
        int(config.get("errors.retry.delay.max.ms", 60_000)),
        config.get("errors.tolerance", "none").strip().lower() == "all",
        is_true("errors.log.enable"),
        is_true("errors.log.include.messages"),
    ]


def _how(status: int, what: str) -> str:
    if status < 0:
        return f"ottla.connect.ProcessError: the {what}'s process was killed by signal {-status}"
    return f"ottla.connect.ProcessError: the {what}'s process ended by itself, with exit status {status}"
