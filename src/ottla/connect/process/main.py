"""What a forked process becomes: a connector, a task, or the inspector of plugins."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from ottla.client.columns.columns import Record
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.plugins import CONNECTORS, Plugins
from ottla.connect.process.kafka import ClientConfig, Kafka
from ottla.connect.process.letters import DeadLetters
from ottla.connect.process.lifecycle import Lifecycle, now_ms
from ottla.connect.process.parent import Handler, Parent, described, leave
from ottla.connect.process.pipeline import SinkPipeline, SourcePipeline, make_converters, make_steps
from ottla.connect.process.tolerance import Failure, Policy, Tolerance
from ottla.connect.sdk import Config, SinkTask, SourceTask, Task
from ottla.connect.worker.frames import Message
from ottla.connect.worker.ids import ConnectorTaskId

_CLOSE_S: Final = 5.0

_log: Final = logging.getLogger(__name__)


def run(what: Message, sock: socket.socket) -> int:
    """`what["role"]`: connector, source, sink or inspector. Returns the process's exit status."""
    _set_up_logging(what)
    role: str = what["role"]
    if role == "inspector":
        from ottla.connect.process.inspector import serve

        return serve(sock)
    if role == "connector":
        from ottla.connect.process.connector import host

        return host(what, sock)
    return _run_task(what, sock, is_source=role == "source")


def _set_up_logging(what: Message) -> None:
    """As the worker logs, each line with whose it is; with `log_file` there as well."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if what.get("log_file"):
        handlers.append(logging.FileHandler(what["log_file"], encoding="utf-8"))
    logging.basicConfig(
        level=what.get("log_level", "INFO"),
        format=f"%(asctime)s %(levelname)s [{what.get('name', 'plugins')}] %(name)s: %(message)s",
        handlers=handlers,
        force=True,
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for name, level in what.get("log_levels", {}).items():
        logging.getLogger(name).setLevel(level)


def _run_task(what: Message, sock: socket.socket, *, is_source: bool) -> int:
    lifecycle = Lifecycle()
    if what["state"] == "PAUSED":
        lifecycle.pause()
    events: Mapping[str, Callable[[], None]] = {
        "stop": lifecycle.stop,
        "pause": lifecycle.pause,
        "resume": lifecycle.resume,
    }

    def told(event: str, message: Message) -> None:
        if event == "log_level":
            logging.getLogger(message["logger"]).setLevel(message["level"])
        else:
            events[event]()

    handlers: Mapping[str, Handler] = {}
    parent = Parent(sock, handlers, told, partial(leave, 1))
    try:
        with contextlib.closing(_Runtime(what, parent, lifecycle)) as runtime:
            runtime.run_source() if is_source else runtime.run_sink()
    except BaseException as error:  # noqa: BLE001 - whatever fails a task is its state
        _log.exception("the task has failed, and does nothing until it is restarted")
        parent.call("failed", **described(error))
        return 1
    parent.call("stopped")
    return 0


class _Runtime:
    """A task and what it runs on."""

    def __init__(self, what: Message, parent: Parent, lifecycle: Lifecycle) -> None:
        self._what = what
        self._parent = parent
        self._lifecycle = lifecycle
        self._id = ConnectorTaskId(*what["id"])
        self._config: Config = what["config"]
        self._kafka = Kafka({kind: ClientConfig(*parts) for kind, parts in what["clients"].items()})
        self._pipeline: SourcePipeline | SinkPipeline | None = None

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
        with contextlib.suppress(Exception):
            self._kafka.close(_CLOSE_S)

    def _make_task(self) -> Task:
        connector = Plugins().load(self._config["connector.class"], *CONNECTORS)()
        connector.started_with = self._config
        task: Task = connector.task_class()()
        return task

    def _tolerance(self, report: Callable[[Failure], None]) -> Tolerance:
        policy = Policy(*self._what["policy"])
        return Tolerance(policy, str(self._id), now_ms, self._lifecycle.wait_ms, random.random, report)

    def _tell(self, event: str, **content: object) -> None:
        self._parent.tell(event, **content)

    def run_source(self) -> None:
        from ottla.connect.process.source import AtLeastOnce, Delivering, Sender, SourceContext, SourceRunner
        from ottla.connect.process.topics import Topics, groups_of

        task = self._make_task()
        assert isinstance(task, SourceTask)
        tolerance = self._tolerance(lambda _: None)
        plugins = Plugins()
        converters = make_converters(plugins, self._config, self._what["converters"])
        self._pipeline = pipeline = SourcePipeline(converters, make_steps(plugins, self._config), tolerance)
        topics = Topics(self._kafka, groups_of(self._config) if self._what["creates_topics"] else [])
        parent = self._parent if self._what["tracks_topics"] else None

        def sender(producer: AsyncProducer) -> Sender:
            return Sender(self._kafka, producer, pipeline, topics, parent)

        delivering: Delivering
        if self._what["transactions"] is None:
            task.context = SourceContext(self._parent, self._lifecycle)
            interval_ms: int = self._what["flush_interval_ms"]
            delivering = AtLeastOnce(task, self._parent, self._kafka, sender, tolerance, interval_ms)
        else:
            from ottla.connect.process.transactions import ExactlyOnce, Transactions

            transactions = Transactions(**self._what["transactions"])
            once = ExactlyOnce(task, self._kafka, sender, transactions, tolerance, self._id.connector)
            task.context = SourceContext(self._parent, self._lifecycle, once.boundaries)
            delivering = once
        delivering.prepare()
        self._start(task)
        try:
            SourceRunner(task, self._lifecycle, delivering, self._tell).run()
        finally:
            task.stop()

    def run_sink(self) -> None:
        from ottla.connect.process.sink import Reporter, SinkContext, SinkRunner

        task = self._make_task()
        assert isinstance(task, SinkTask)
        own: Mapping[str, Any] = self._what["letters"]
        letters = DeadLetters(
            self._kafka, self._id, own["topic"], own["replication_factor"], headers=own["headers"]
        )

        def report(failure: Failure) -> None:
            if isinstance(failure.record, Record):
                letters.send(failure, failure.record)

        tolerance = self._tolerance(report)
        letters.start()
        plugins = Plugins()
        converters = make_converters(plugins, self._config, self._what["converters"])
        self._pipeline = pipeline = SinkPipeline(converters, make_steps(plugins, self._config), tolerance)
        has_reporter = bool(own["topic"]) or tolerance.policy.logs
        context = SinkContext(Reporter(tolerance, task) if has_reporter else None)
        task.context = context
        runner = SinkRunner(
            task,
            context,
            self._kafka,
            self._lifecycle,
            pipeline,
            letters,
            self._tell,
            self._what["flush_interval_ms"],
        )
        runner.subscribe(self._what["topics"], self._what["topics_pattern"])
        self._start(task)
        try:
            runner.run()
        finally:
            task.stop()

    def _start(self, task: Task) -> None:
        try:
            task.start(self._what["task_config"])
        except BaseException:
            with contextlib.suppress(Exception):
                task.stop()
            raise
        self._tell("started", version=task.version(), paused=self._lifecycle.is_paused)
