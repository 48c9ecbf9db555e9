"""What this worker runs: started and stopped as it is assigned, as configurations change, and as it is asked
to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from ottla.connect.errors import ConnectError
from ottla.connect.worker.configs import (
    Change,
    ConnectorChanged,
    ConnectorRemoved,
    LoggerLevelSet,
    RestartRequest,
    SessionKeyChanged,
    TargetStateChanged,
    TasksChanged,
)
from ottla.connect.worker.ids import ConnectorTaskId, TargetState, Work
from ottla.connect.worker.membership import Membership
from ottla.connect.worker.restarts import plan_restart
from ottla.connect.worker.runtime import Runtime
from ottla.connect.worker.settings import WorkerSettings
from ottla.connect.worker.statuses import State, Status, TopicStatus
from ottla.connect.worker.stores import ConfigStore, OffsetStores, StatusStore

_log: Final = logging.getLogger(__name__)

Config = Mapping[str, str]
Resolve = Callable[[Config], dict[str, str]]
"""Has configuration providers fill in what stands as `${...}`"""

_RETRY_S: Final = (0.25, 1.0, 5.0, 15.0, 60.0)
"""Between attempts to have a connector's tasks made"""
_SETTLE_S: Final = 5.0
"""For statuses to be written before what was revoked is given up"""


class Crew:
    """`publish_tasks` has the leader write a connector's task configurations; `fence` has it fence the tasks
    that ran before (None: nothing is to be fenced). All methods that wait are called under `lock`, which
    keeps them apart.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        worker_id: str,
        configs: ConfigStore,
        statuses: StatusStore,
        offsets: OffsetStores,
        resolve: Resolve,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self.worker_id = worker_id
        self._configs = configs
        self._statuses = statuses
        self._offsets = offsets
        self.resolve = resolve
        self._now_ms = now_ms
        self.lock = asyncio.Lock()
        self.runtime: Runtime
        self.membership: Membership
        self.publish_tasks: Callable[[str, Sequence[Config]], Awaitable[None]]
        self.fence: Callable[[str], Awaitable[None]] | None = None
        self.on_logger_level: Callable[[str, str], None] = lambda *_: None
        self._changes: list[Change] = []
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        """Nothing is left of what changed"""
        self.settle: Callable[[], Awaitable[None]] | None = None
        """Without a group: what a rebalance would do"""
        self._reconfigure: dict[str, int] = {}
        """Connectors whose tasks are to be made, and how often that failed"""
        self._restarts: dict[ConnectorTaskId, int] = {}
        """How often a task was started again by itself"""
        self._timers: dict[asyncio.TimerHandle, None] = {}
        self._spawned: dict[asyncio.Task[None], None] = {}
        self._kinds: dict[str, str | None] = {}
        configs.on_change = self._changed

    # As the membership tells.

    def configured(self) -> Work:
        state = self._configs.state
        return Work.of(state.connectors, (task for name in state.connectors for task in state.tasks(name)))

    async def revoked(self, work: Work) -> None:
        async with self.lock:
            await self._stop(work)
            with contextlib.suppress(TimeoutError):  # others need not wait for what cannot be written
                async with asyncio.timeout(_SETTLE_S):
                    await self._statuses.settled()

    async def _stop(self, work: Work) -> None:
        await self.runtime.stop_tasks(work.tasks)
        await asyncio.gather(*(self.runtime.stop_connector(each) for each in work.connectors))

    async def assigned(self, work: Work, generation: int, *, leads: bool) -> None:  # noqa: ARG002 - read from the membership
        async with self.lock:
            if leads:
                self._forget_removed()
            await self._start_missing(work)

    def _forget_removed(self) -> None:
        """The leader's part: what is no longer configured has no status."""
        state, known = self._statuses.state, self._configs.state
        generation = self.membership.generation
        for name in tuple(state.connectors):
            if name not in known.connectors:
                self._statuses.forget_topics(name)
                self._statuses.destroyed(name, self.worker_id, generation)
        for name, tasks in tuple(state.tasks.items()):
            current = frozenset(known.tasks(name))
            for number in tuple(tasks):
                if ConnectorTaskId(name, number) not in current:
                    self._statuses.destroyed(ConnectorTaskId(name, number), self.worker_id, generation)

    async def _start_missing(self, work: Work) -> None:
        known = self._configs.state
        connectors = [
            each
            for each in work.connectors
            if each in known.connectors and not self.runtime.has_connector(each)
        ]
        await asyncio.gather(*(self._start_connector(each) for each in connectors))
        tasks = [
            each for each in work.tasks if each in known.task_configs and not self.runtime.runs_task(each)
            and each in known.tasks(each.connector)
        ]  # fmt: skip
        await self._start_tasks(tasks)

    async def _start_connector(self, name: str) -> bool:
        known = self._configs.state
        state = known.target_state(name)
        try:
            config = self.resolve(known.connectors[name])
            await self.runtime.start_connector(name, config, state)
        except Exception as error:  # noqa: BLE001 - of one connector; others go on
            if not self.runtime.has_connector(name):
                self.failed(name, None, _why(error))
            _log.error("connector %s does not start: %s", name, _why(error))
            return False
        if state is TargetState.STARTED:
            self.reconfigure(name)
        return True

    async def _start_tasks(self, tasks: Sequence[ConnectorTaskId]) -> None:
        for name in dict.fromkeys(each.connector for each in tasks):
            of_connector = [each for each in tasks if each.connector == name]
            try:
                kind = await self.kind_of(name)
                if self.fence is not None and kind == "source":
                    await self.fence(name)
            except Exception as error:  # noqa: BLE001 - of one connector; others go on
                for task in of_connector:
                    self.failed(task, None, _why(error))
                continue
            await asyncio.gather(*(self._start_or_fail(each, kind) for each in of_connector))

    async def _start_or_fail(self, task: ConnectorTaskId, kind: str | None) -> None:
        try:
            await self._start_task(task, kind)
        except Exception as error:  # noqa: BLE001 - of one task; others go on
            _log.error("task %s does not start: %s", task, _why(error))
            self.failed(task, None, _why(error))

    async def _start_task(self, task: ConnectorTaskId, kind: str | None) -> None:
        known = self._configs.state
        if kind is None:
            raise ConnectError(
                f"Failed to start task {task} since it is not a recognizable type (source or sink)"
            )
        config, task_config = self.resolve(known.connectors[task.connector]), known.task_configs[task]
        _check_count(task.connector, len(known.tasks(task.connector)), config)
        state = known.target_state(task.connector)
        await self.runtime.start_task(task, config, self.resolve(task_config), state, kind)

    async def kind_of(self, name: str) -> str | None:
        """source, sink, or None for a connector of a class that there is not here."""
        config = self._configs.state.connectors.get(name, {})
        return await self.kind_of_class(config.get("connector.class", ""))

    async def kind_of_class(self, class_: str) -> str | None:
        if class_ not in self._kinds:
            self._kinds[class_] = await self.runtime.inspector.ask("kind", name=class_)
        return self._kinds[class_]

    # As configurations change.

    def _changed(self, change: Change) -> None:
        self._changes.append(change)
        self.wake()

    def reconfigure(self, connector: str) -> None:
        self._reconfigure.setdefault(connector, 0)
        self.wake()

    def wake(self) -> None:
        self.idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Do what changes mean, without end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.work_off()
                if self.settle is not None:
                    await self.settle()
            except Exception:  # noqa: BLE001 - the next change is another matter
                _log.exception("a change of the configuration was not dealt with")
            if not self._wake.is_set():
                self.idle.set()

    async def work_off(self) -> None:
        """All changes there are, and what follows from them."""
        while self._changes or self._reconfigure:
            async with self.lock:
                changes, self._changes = self._changes, []
                # Once each: changes of two kinds about one connector are equal tuples.
                for change in {(type(each), each): each for each in changes}.values():
                    try:
                        await self._apply(change)
                    except Exception:  # noqa: BLE001 - the next change is another matter
                        _log.exception("a change of the configuration was not dealt with: %s", change)
            due, self._reconfigure = self._reconfigure, {}
            for name, failures in due.items():
                await self._make_tasks(name, failures)
            if not self._changes:
                return

    async def _apply(self, change: Change) -> None:
        runtime, membership = self.runtime, self.membership
        match change:
            case ConnectorChanged(name):
                if runtime.has_connector(name):
                    await runtime.stop_connector(name)
                    await self._start_connector(name)
                else:
                    membership.rejoin(f"connector {name} is new or changed")
            case ConnectorRemoved(name):
                membership.rejoin(f"connector {name} is removed")
            case TasksChanged(name):
                mine = [each for each in membership.assignment.tasks if each.connector == name]
                await runtime.stop_tasks(mine)
                kept = [each for each in mine if each in self._configs.state.tasks(name)]
                await self._start_tasks(kept)
                membership.rejoin(f"tasks of connector {name} changed")
            case TargetStateChanged(name):
                await self._change_state(name)
            case RestartRequest() as request:
                await self._restart(request)
            case LoggerLevelSet(namespace, level):
                self.on_logger_level(namespace, level)
            case SessionKeyChanged():
                pass

    async def _change_state(self, name: str) -> None:
        state = self._configs.state.target_state(name)
        for task in self.membership.assignment.tasks:
            if task.connector == name:
                self.runtime.set_task_state(task, state)
        if state is TargetState.STOPPED and self.membership.is_leader and self._configs.state.tasks(name):
            await self.publish_tasks(name, [])  # they were made while it was being stopped
        if not self.runtime.has_connector(name):
            return
        try:
            if await self.runtime.set_connector_state(name, state):
                self.reconfigure(name)
        except ConnectError as error:
            _log.error("connector %s does not become %s: %s", name, state.value, error)
            self.failed(name, self.runtime.version_of(name), str(error))

    async def _restart(self, request: RestartRequest) -> None:
        statuses, name = self._statuses.state, request.connector
        plan = plan_restart(request, statuses.connectors.get(name), statuses.tasks.get(name, {}))
        if plan is None:
            return
        mine = self.membership.assignment
        if plan.restarts_connector and name in mine.connectors:
            await self.runtime.stop_connector(name)
            self._say(name, State.RESTARTING)
            await self._start_connector(name)
        tasks = [each for each in plan.tasks if each in mine.tasks]
        await self.restart_tasks(tasks)

    async def restart_tasks(self, tasks: Sequence[ConnectorTaskId]) -> None:
        await self.runtime.stop_tasks(tasks)
        for task in tasks:
            self._say(task, State.RESTARTING)
        await self._start_tasks(tasks)

    async def restart_connector(self, name: str) -> None:
        """ConnectError where it does not start."""
        await self.runtime.stop_connector(name)
        if not await self._start_connector(name):
            status = self._statuses.state.connectors.get(name)
            raise ConnectError(
                f"Failed to start connector: {name}"
                + (f": {status.trace}" if status and status.trace else "")
            )

    async def _make_tasks(self, name: str, failures: int) -> None:
        """Ask a connector for its tasks, and have them written if they are others."""
        known = self._configs.state
        if not self.runtime.runs_connector(name) or known.target_state(name) is not TargetState.STARTED:
            return
        try:
            async with self.lock:
                configs = await self._task_configs(name)
            if known.target_state(name) is TargetState.STARTED and known.tasks_differ(name, configs):
                await self.publish_tasks(name, configs)
        except Exception as error:  # noqa: BLE001 - of one connector; others go on
            _log.warning("the tasks of connector %s are not made: %s", name, _why(error))
            if isinstance(error, TooManyTasksError):
                self.failed(name, self.runtime.version_of(name), str(error))
                return
            delay_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
            self._later(delay_s, lambda: self._again(name, failures + 1))

    def _again(self, name: str, failures: int) -> None:
        self._reconfigure[name] = failures
        self.wake()

    async def _task_configs(self, name: str) -> list[Config]:
        """As they are to be written: with the tasks' class, and `${...}` as it was given."""
        raw = self._configs.state.connectors[name]
        resolved = self.resolve(raw)
        configs, class_ = await self.runtime.task_configs(name, _tasks_max(resolved))
        _check_count(name, len(configs), resolved)
        variables = {key: value for key, value in raw.items() if "${" in value}
        topics = {key: raw[key] for key in ("topics", "topics.regex") if key in raw}
        is_sink = await self.kind_of(name) == "sink"
        made: list[Config] = []
        for config in configs:
            merged = {**config, "task.class": class_, **(topics if is_sink else {})}
            made.append({key: variables.get(key, value) for key, value in merged.items()})
        return made

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.pop(timer)
            call()

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._timers[timer] = None

    async def close(self) -> None:
        """Stop what runs here."""
        for timer in self._timers:
            timer.cancel()
        for task in self._spawned:
            task.cancel()
        async with self.lock:
            await self._stop(self.membership.assignment)

    # As the processes tell.

    def _say(
        self,
        subject: str | ConnectorTaskId,
        state: State,
        version: str | None = None,
        trace: str | None = None,
    ) -> None:
        carefully = state in (State.UNASSIGNED, State.FAILED)
        status = Status(state, self.worker_id, self.membership.generation, trace, version)
        self._statuses.put(subject, status, carefully=carefully)

    def running(self, subject: str | ConnectorTaskId, version: str | None) -> None:
        self._say(subject, State.RUNNING, version)

    def paused(self, subject: str | ConnectorTaskId, version: str | None) -> None:
        self._say(subject, State.PAUSED, version)

    def stopped(self, subject: str, version: str | None) -> None:
        self._say(subject, State.STOPPED, version)

    def ended(self, subject: str | ConnectorTaskId, version: str | None) -> None:
        known = self._configs.state
        name = subject.connector if isinstance(subject, ConnectorTaskId) else subject
        if name in known.connectors and (name == subject or subject in known.tasks(name)):
            self._say(subject, State.UNASSIGNED, version)

    def failed(self, subject: str | ConnectorTaskId, version: str | None, trace: str) -> None:
        self._say(subject, State.FAILED, version, trace)
        if isinstance(subject, ConnectorTaskId):
            self._restart_by_itself(subject)

    def _restart_by_itself(self, task: ConnectorTaskId) -> None:
        done = self._restarts.get(task, 0)
        if done >= self._settings.ottla_connect_restart_max:
            return
        self._restarts[task] = done + 1
        delay_s = self._settings.ottla_connect_restart_backoff_ms * 2**done / 1000
        _log.warning("task %s failed and is started again in %.1f s", task, delay_s)

        async def again() -> None:
            async with self.lock:
                if task in self.membership.assignment.tasks:
                    await self.restart_tasks([task])

        self._later(delay_s, lambda: self._spawn(again()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._spawned[task] = None
        task.add_done_callback(self._spawned.pop)

    def uses_topic(self, task: ConnectorTaskId, topic: str) -> None:
        self._statuses.put_topic(TopicStatus(topic, task.connector, task.task, self._now_ms()))

    # Offsets, as the processes ask.

    async def read(self, connector: str, partitions: Sequence[Mapping[str, object]]) -> list[object]:
        return await self._offsets.read(
            connector, self._configs.state.connectors.get(connector, {}), partitions
        )

    async def write(
        self, connector: str, offsets: Sequence[tuple[Mapping[str, object], Mapping[str, object]]]
    ) -> None:
        await self._offsets.write(connector, self._configs.state.connectors.get(connector, {}), offsets)


class TooManyTasksError(ConnectError):
    kafka_name = "org.apache.kafka.connect.runtime.TooManyTasksException"


def _tasks_max(config: Config) -> int:
    return int(config.get("tasks.max", 1))


def _check_count(name: str, count: int, config: Config) -> None:
    """TooManyTasksError where a connector has more tasks than it may."""
    most = _tasks_max(config)
    if count <= most or config.get("tasks.max.enforce", "true").strip().lower() != "true":
        return
    raise TooManyTasksError(
        f"The connector {name} has generated {count} tasks, which is greater than {most}, the maximum "
        "number of tasks it is "
        "configured to create. This behaviour should be considered a bug and is disallowed. If necessary, "
        "it can be "
        "permitted by reconfiguring the connector with 'tasks.max.enforce' set to false."
    )


def _why(error: Exception) -> str:
    """What its status says: an error of ours speaks for itself."""
    return str(error) if isinstance(error, ConnectError) else f"{type(error).__name__}: {error}"
