"""Tables that every instance has in whole: read to their end before the application begins, then followed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Final

from ottla.client.columns.columns import Columns
from ottla.client.connecting import AsyncClient
from ottla.client.core.metadata import TopicPartition
from ottla.streams.errors import StreamsError
from ottla.streams.records import Headers
from ottla.streams.runtime.application import Application
from ottla.streams.state.ordered_bytes import MemoryBytes, OrderedBytes, Pair
from ottla.streams.state.stack import Kind
from ottla.streams.task.input import RawRecord
from ottla.streams.task.task import Task

_START_TIMEOUT_S: Final = 300.0


class SharedBytes(MemoryBytes):
    """Read by all threads while one writes."""

    def __init__(self) -> None:
        super().__init__()
        self._mutex = threading.Lock()

    def put(self, key: bytes, value: bytes | None) -> None:
        with self._mutex:
            super().put(key, value)

    def read(self, start: bytes, end: bytes | None, limit: int, *, reverse: bool) -> list[Pair]:
        with self._mutex:
            return super().read(start, end, limit, reverse=reverse)

    def drop_below(self, end: bytes) -> None:
        with self._mutex:
            super().drop_below(end)


class _Environment:
    cache = None

    def open_bytes(self, task_id: str, store: str, kind: Kind) -> OrderedBytes:  # noqa: ARG002
        return SharedBytes()


class _Nowhere:
    """Global stores' processors write nothing."""

    def send(
        self,
        topic: str,
        partition: int | None,  # noqa: ARG002
        key: bytes | None,  # noqa: ARG002
        value: bytes | None,  # noqa: ARG002
        timestamp: int,  # noqa: ARG002
        headers: Headers,  # noqa: ARG002
    ) -> None:
        raise StreamsError(f"the processor of a global store cannot write to {topic}")

    def send_columns(self, topic: str, columns: Columns) -> None:  # noqa: ARG002
        raise StreamsError(f"the processor of a global store cannot write to {topic}")

    def partitions(self, topic: str) -> int:
        raise StreamsError(f"the processor of a global store cannot write to {topic}")


class GlobalThread:
    """Keeps the global stores in memory."""

    def __init__(self, application: Application, failed: Callable[[Exception], None]) -> None:
        """`failed` is told why it ended after `start`; nothing in these stores is new then any more."""
        self._application = application
        self._failed = failed
        self._ready = threading.Event()
        self._stopping = False
        self._error: Exception | None = None
        self._runner = threading.Thread(target=self._run, name="ottla-streams-global", daemon=True)

    def start(self) -> None:
        """Returns when all that there was is read. Raises StreamsError, ClientError."""
        self._runner.start()
        if not self._ready.wait(_START_TIMEOUT_S):
            raise StreamsError(f"the global tables were not read in {_START_TIMEOUT_S:.0f} s")
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._stopping = True
        self._runner.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except Exception as error:  # noqa: BLE001 # `start` raises it, or who started it is told
            if self._ready.is_set():
                self._failed(error)
            self._error = error
        finally:
            self._ready.set()

    async def _follow(self) -> None:
        application, topology = self._application, self._application.topology
        config = application.config
        names = [name for group in topology.node_groups() if group.is_global for name in group.names]
        exactly_once = config.streams.is_exactly_once
        reading = {
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if exactly_once else "read_uncommitted",
        }
        async with AsyncClient(config.client) as client:
            consumer = client.consumer(settings={**config.restore_consumer, **reading})
            partitions: list[TopicPartition] = []
            for topic in topology.global_topics:
                partitions += await consumer.partitions_for(topic)
            settings = application.task_settings(_Environment())
            task = Task(topology, set(names), "-1_-1", partitions, settings, _Nowhere())
            task.initialize()
            application.global_stores = dict(task.context.stores)
            consumer.assign(partitions)
            left = {each: end for each, end in (await consumer.end_offsets(partitions)).items() if end > 0}
            while not self._stopping:
                batch = await consumer.poll(1_000, timeout_s=0.1)
                if batch is not None:
                    for topic, partition, offset, timestamp, _, key, value, headers in batch.records():
                        record = RawRecord(topic, partition, offset, timestamp, key, value, headers)
                        task.add_records((topic, partition), (record,))
                        while task.buffered:
                            task.process()
                    task.flush()
                for each in _reached(left, {each: await consumer.position(each) for each in left}):
                    del left[each]
                if not left:
                    self._ready.set()


def _reached(
    left: dict[TopicPartition, int], positions: dict[TopicPartition, int]
) -> Iterator[TopicPartition]:
    return (each for each in tuple(left) if positions[each] >= left[each])
