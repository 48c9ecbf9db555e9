"""What a sink asks for while it is given partitions, and what is to be given again, over rebalances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, cast

from ottla.connect.errors import RetriableError
from ottla.connect.process.kafka import Kafka
from ottla.connect.process.letters import DeadLetters
from ottla.connect.process.lifecycle import Lifecycle
from ottla.connect.process.pipeline import SinkPipeline
from ottla.connect.process.sink import SinkContext, SinkRunner
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkTask, TopicPartition

ONE, TWO = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    def __init__(self) -> None:
        self.at: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()

    async def position(self, partition: TopicPartition) -> int:
        return 10

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused.difference_update(partitions)


class Loop:
    """The clients' thread."""

    def __init__(self) -> None:
        self.portal = self

    def run(self, call: Callable[..., object], *arguments: object) -> object:
        return call(*arguments)

    def call(self, work: Coroutine[Any, Any, object]) -> object:
        return asyncio.run(work)


class Letters:
    def settle(self) -> None: ...


class Task(SinkTask):
    def __init__(self) -> None:
        self.fails = False
        self.on_open: Callable[[Sequence[TopicPartition]], None] = lambda _: None

    def version(self) -> str:
        return "1"

    def start(self, config: Config) -> None: ...

    def stop(self) -> None: ...

    def open(self, partitions: Sequence[TopicPartition]) -> None:
        self.on_open(partitions)

    def put(self, records: Sequence[SinkRecord]) -> None:
        if self.fails:
            raise RetriableError("later")

    def pre_commit(self, offsets: Any) -> Any:
        return {}


def _runner(task: Task) -> tuple[SinkRunner, Consumer, SinkContext, Lifecycle]:
    context, lifecycle, consumer = SinkContext(None), Lifecycle(), Consumer()
    task.context = context
    runner = SinkRunner(
        task,
        context,
        cast("Kafka", Loop()),
        lifecycle,
        cast("SinkPipeline", None),
        cast("DeadLetters", Letters()),
        lambda *_, **__: None,
        60_000,
    )
    runner._consumer = cast("Any", consumer)
    return runner, consumer, context, lifecycle


def test_what_is_asked_for_in_open_holds_at_once() -> None:
    task = Task()
    runner, consumer, context, _ = _runner(task)

    def on_open(partitions: Sequence[TopicPartition]) -> None:
        context.offset(ONE, 3)
        context.pause([TWO])

    task.on_open = on_open
    runner.opened([ONE, TWO])
    assert consumer.at == {ONE: 3}
    assert consumer.paused == {TWO}
    assert runner._put == {ONE: 3, TWO: 10}


def test_records_are_given_again_over_a_rebalance() -> None:
    task = Task()
    runner, consumer, _, _ = _runner(task)
    runner.opened([ONE])
    runner._pending = [SinkRecord("t", 0, value="v", offset=10)]
    task.fails = True
    runner._deliver()
    assert consumer.paused == {ONE}
    runner.opened([TWO])  # nothing of it is read before the sink has what it could not take
    assert consumer.paused == {ONE, TWO}
    runner.closed([ONE], is_lost=True)  # whose record is somebody else's
    runner._pause_or_resume()
    assert consumer.paused == {ONE}  # which the consumer has not any more


def test_a_paused_sink_is_given_partitions() -> None:
    task = Task()
    runner, consumer, _, lifecycle = _runner(task)
    lifecycle.pause()
    runner._pause_or_resume()
    runner.opened([ONE])
    assert consumer.paused == {ONE}
    lifecycle.resume()
    runner._pause_or_resume()
    assert consumer.paused == set()
