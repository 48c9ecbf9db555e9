"""What fails of one connector or one task is its status: the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

from ottla.connect.worker.crew import Config, Crew
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.logs import MemoryLog
from ottla.connect.worker.membership import Alone
from ottla.connect.worker.runtime import Runtime
from ottla.connect.worker.settings import worker_config
from ottla.connect.worker.statuses import State
from ottla.connect.worker.stores import ConfigStore, OffsetStores, StatusStore

T = TypeVar("T")
GIVEN = {
    "bootstrap.servers": "127.0.0.1:9092",
    "key.converter": "c",
    "value.converter": "c",
    "offset.storage.file.filename": "offsets",
}


class Plugins:
    """The inspector's part."""

    async def ask(self, what: str, /, *, name: str) -> str:
        if name == "Broken":
            raise OSError("no more processes")
        return "sink"


class Processes:
    """The runtime's part: connectors give the tasks that their configuration counts."""

    def __init__(self) -> None:
        self.inspector = Plugins()
        self.connectors: dict[str, Config] = {}
        self.tasks: dict[ConnectorTaskId, Config] = {}
        self.before_tasks: Coroutine[Any, Any, None] | None = None

    def has_connector(self, name: str) -> bool:
        return name in self.connectors

    runs_connector = has_connector

    def runs_task(self, task: ConnectorTaskId) -> bool:
        return task in self.tasks

    async def start_connector(self, name: str, config: Config, state: TargetState) -> None:
        if config.get("fails"):
            raise KeyError(config["fails"])
        self.connectors[name] = config

    async def set_connector_state(self, name: str, state: TargetState) -> bool:
        return False

    def set_task_state(self, task: ConnectorTaskId, state: TargetState) -> None: ...

    async def task_configs(self, name: str, most: int) -> tuple[list[dict[str, str]], str]:
        if self.before_tasks is not None:
            await self.before_tasks
        return [{"number": str(number)} for number in range(most)], "Task"

    async def start_task(
        self, task: ConnectorTaskId, config: Config, task_config: Config, state: TargetState, kind: str
    ) -> None:
        if config.get("task.fails"):
            raise OSError(config["task.fails"])
        self.tasks[task] = config

    async def stop_tasks(self, tasks: Any) -> None:
        for each in tasks:
            self.tasks.pop(each, None)

    async def stop_connector(self, name: str) -> None:
        self.connectors.pop(name, None)


class Worker:
    def __init__(self) -> None:
        self.configs = ConfigStore(MemoryLog())
        self.statuses = StatusStore(MemoryLog())
        offsets = OffsetStores(MemoryLog(), None)
        settings = worker_config(GIVEN, is_distributed=False).settings

        def resolve(given: Mapping[str, str]) -> dict[str, str]:
            return {name: "2" if value == "${env:TWO}" else value for name, value in given.items()}

        self.crew = Crew(settings, "me", self.configs, self.statuses, offsets, resolve, lambda: 0)
        self.processes = Processes()
        self.crew.runtime = cast("Runtime", self.processes)
        self.crew.membership = self.alone = Alone("http://me/")
        self.crew.publish_tasks = self.configs.put_tasks

    async def settled(self) -> None:
        for _ in range(4):
            await self.crew.work_off()
            await self.alone.rebalance(self.crew)
        await self.statuses.settled()

    async def add(self, name: str, **config: str) -> None:
        given = {key.replace("_", "."): value for key, value in config.items()}
        await self.configs.put_connector(name, {"connector.class": "C", **given}, TargetState.STARTED)

    def failures(self) -> dict[object, str]:
        state = self.statuses.state
        found: dict[object, str] = {
            name: status.trace or ""
            for name, status in state.connectors.items()
            if status.state is State.FAILED
        }
        for name, tasks in state.tasks.items():
            found |= {
                (name, number): status.trace or ""
                for number, status in tasks.items()
                if status.state is State.FAILED
            }
        return found


def run(test: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(test)


def test_one_that_fails_is_failed_and_the_others_run() -> None:
    async def test() -> Worker:
        worker = Worker()
        await worker.configs.start()
        await worker.statuses.start()
        await worker.add("refuses", fails="key")
        await worker.add("forks", task_fails="no memory")
        await worker.add("strange", connector_class="Broken")
        await worker.configs.put_tasks("strange", [{}])
        await worker.add("many", tasks_max="x")
        await worker.add("two", tasks_max="${env:TWO}")
        await worker.settled()
        return worker

    worker = run(test())
    failures = worker.failures()
    assert failures == {
        "refuses": "KeyError: 'key'",
        ("forks", 0): "OSError: no memory",
        ("strange", 0): "OSError: no more processes",
    }
    assert [*worker.processes.tasks] == [ConnectorTaskId("two", 0), ConnectorTaskId("two", 1)]


def test_one_that_is_stopped_meanwhile_has_no_tasks() -> None:
    async def test() -> tuple[list[ConnectorTaskId], list[ConnectorTaskId]]:
        worker = Worker()
        await worker.configs.start()
        await worker.statuses.start()
        worker.processes.before_tasks = worker.configs.put_target_state("c", TargetState.STOPPED)
        await worker.add("c")
        await worker.settled()
        first = worker.configs.state.tasks("c")
        await worker.add("d")  # whose tasks are written between the two records of its stop
        worker.processes.before_tasks = None
        await worker.settled()
        assert worker.configs.state.tasks("d")
        await worker.configs.put_target_state("d", TargetState.STOPPED)
        await worker.settled()
        return first, worker.configs.state.tasks("d")

    assert run(test()) == ([], [])
