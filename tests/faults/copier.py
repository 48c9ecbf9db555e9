"""A process that makes output of input, each record once: reads, writes and commits offsets in transactions.

    python tests/faults/copier.py confluent 127.0.0.1:9092 "worker 0" 3 0 history.jsonl

is life 3 of worker 0 with confluent-kafka, which has partition 0 to itself. What it does goes into a history
of `tests.checker`, so that it may be killed at any time. It ends when it is fenced, or does not know any
more; then another life has to begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.checker.history import History, Kind, Operation, Outcome, Partition

INPUT, OUTPUT, GROUP = "in", "out", "copiers"
TRANSACTION_TIMEOUT_MS = 3_000
_MOST = 20
_POLL_S = 0.2

T = TypeVar("T")
Records = list[tuple[int, str]]


class Copier(ABC):
    """A library's producer and consumer; each call raises what the library raises."""

    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        self.partition = partition

    @abstractmethod
    def initialise(self) -> None: ...

    @abstractmethod
    def committed(self) -> int | None: ...

    @abstractmethod
    def seek(self, offset: int) -> None: ...

    @abstractmethod
    def poll(self) -> Records: ...

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def send(self, values: Sequence[str]) -> list[int]:
        """The offsets, once all are acknowledged."""

    @abstractmethod
    def send_offset(self, offset: int) -> None: ...

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of what it has; the transaction may be left open, and the producer fenced."""


class Confluent(Copier):
    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        from confluent_kafka import Consumer, Producer, TopicPartition

        super().__init__(bootstrap, transactional_id, partition)
        common = {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "reconnect.backoff.max.ms": 200,
            # Otherwise it gives a broker up that was away, and is now and then left without one.
            "metadata.recovery.strategy": "none",
        }
        self._producer = Producer(
            {
                **common,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "linger.ms": 0,
            }
        )
        self._consumer = Consumer(
            {
                **common,
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        self._at = TopicPartition(INPUT, partition)

    def initialise(self) -> None:
        self._producer.init_transactions(30)

    def committed(self) -> int | None:
        offset = self._consumer.committed([self._at], timeout=30)[0].offset
        return offset if offset >= 0 else None

    def seek(self, offset: int) -> None:
        self._at.offset = offset
        self._consumer.assign([self._at])

    def poll(self) -> Records:
        from confluent_kafka import KafkaException

        records = []
        for message in self._consumer.consume(_MOST, timeout=_POLL_S):
            if message.error() is None:
                records.append((message.offset(), message.value().decode()))
            elif not message.error().retriable() and message.error().fatal():
                raise KafkaException(message.error())
        return records

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, values: Sequence[str]) -> list[int]:
        from confluent_kafka import KafkaException

        offsets: list[int] = []
        errors: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                errors.append(error)
            else:
                offsets.append(message.offset())

        for value in values:
            self._producer.produce(OUTPUT, value.encode(), partition=self.partition, on_delivery=delivered)
        left = self._producer.flush(20)
        if errors or left:
            raise KafkaException(errors[0]) if errors else TimeoutError
        return offsets

    def send_offset(self, offset: int) -> None:
        from confluent_kafka import TopicPartition

        metadata = self._consumer.consumer_group_metadata()
        at = TopicPartition(INPUT, self.partition, offset)
        self._insist(lambda: self._producer.send_offsets_to_transaction([at], metadata, 20))

    def commit(self) -> None:
        self._insist(lambda: self._producer.commit_transaction(20))

    def abort(self) -> None:
        self._insist(lambda: self._producer.abort_transaction(20))

    def close(self) -> None:
        self._consumer.close()

    @staticmethod
    def _insist(call: Any) -> None:
        from confluent_kafka import KafkaException

        for attempt in range(5):
            try:
                call()
                return
            except KafkaException as error:
                if attempt == 4 or not error.args[0].retriable():
                    raise


class KafkaPython(Copier):
    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition

        super().__init__(bootstrap, transactional_id, partition)
        common = {"bootstrap_servers": bootstrap, "reconnect_backoff_max_ms": 200}
        self._producer = KafkaProducer(
            **common,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_block_ms=20_000,
        )
        self._consumer = KafkaConsumer(
            **common,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._at = TopicPartition(INPUT, partition)
        self._consumer.assign([self._at])

    def initialise(self) -> None:
        self._producer.init_transactions()

    def committed(self) -> int | None:
        offset = self._consumer.committed(self._at)
        return None if offset is None or offset < 0 else int(offset)

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._at, offset)

    def poll(self) -> Records:
        polled = self._consumer.poll(timeout_ms=int(_POLL_S * 1000), max_records=_MOST)
        return [(record.offset, record.value.decode()) for some in polled.values() for record in some]

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, values: Sequence[str]) -> list[int]:
        sent = [self._producer.send(OUTPUT, value.encode(), partition=self.partition) for value in values]
        return [each.get(20).offset for each in sent]

    def send_offset(self, offset: int) -> None:
        from kafka.structs import OffsetAndMetadata

        offsets = {self._at: OffsetAndMetadata(offset, "", -1)}
        self._producer.send_offsets_to_transaction(offsets, self._consumer.group_metadata())

    def commit(self) -> None:
        self._producer.commit_transaction()

    def abort(self) -> None:
        self._producer.abort_transaction()

    def close(self) -> None:
        self._producer.close(timeout=0)
        self._consumer.close(autocommit=False)


class Aiokafka(Copier):
    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

        super().__init__(bootstrap, transactional_id, partition)
        self._runner = asyncio.Runner()
        self._at = TopicPartition(INPUT, partition)

        async def make() -> tuple[Any, Any]:
            producer = AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                transactional_id=transactional_id,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                retry_backoff_ms=50,
            )
            consumer = AIOKafkaConsumer(
                bootstrap_servers=bootstrap,
                group_id=GROUP,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                retry_backoff_ms=50,
            )
            consumer.assign([self._at])
            return producer, consumer

        self._producer, self._consumer = self._runner.run(make())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(work, 20))

    def initialise(self) -> None:
        self._run(self._producer.start())
        self._run(self._consumer.start())

    def committed(self) -> int | None:
        offset: int | None = self._run(self._consumer.committed(self._at))
        return offset

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._at, offset)

    def poll(self) -> Records:
        polled = self._run(self._consumer.getmany(timeout_ms=int(_POLL_S * 1000), max_records=_MOST))
        return [(record.offset, record.value.decode()) for some in polled.values() for record in some]

    def begin(self) -> None:
        self._run(self._producer.begin_transaction())

    def send(self, values: Sequence[str]) -> list[int]:
        async def send() -> list[int]:
            sent = [
                await self._producer.send(OUTPUT, value.encode(), partition=self.partition)
                for value in values
            ]
            return [(await each).offset for each in sent]

        return self._run(send())

    def send_offset(self, offset: int) -> None:
        self._run(self._producer.send_offsets_to_transaction({self._at: offset}, GROUP))

    def commit(self) -> None:
        self._run(self._producer.commit_transaction())

    def abort(self) -> None:
        self._run(self._producer.abort_transaction())

    def close(self) -> None:
        for each in (self._producer, self._consumer):
            with contextlib.suppress(Exception):
                self._run(each.stop())
        self._runner.close()


class Ottla(Copier):
    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        from ottla import client

        super().__init__(bootstrap, transactional_id, partition)
        self._client = client.connect(bootstrap, retry_backoff_ms=50)
        self._transactional_id = transactional_id
        self._consumer = self._client.consumer(
            group=GROUP, enable_auto_commit=False, isolation_level="read_committed", fetch_max_wait_ms=50
        )
        self._at = (INPUT, partition)
        self._consumer.assign([self._at])
        self._batch: Any = None

    def initialise(self) -> None:
        self._producer = self._client.producer(
            transactional_id=self._transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_block_ms=20_000,
            delivery_timeout_ms=20_000,
            request_timeout_ms=5_000,
            retry_backoff_ms=50,
        )

    def committed(self) -> int | None:
        (committed,) = self._consumer.committed([self._at], timeout_s=30).values()
        return None if committed is None else committed.offset

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._at, offset)

    def poll(self) -> Records:
        self._batch = self._consumer.poll(_MOST, _POLL_S)
        return [(each.offset, (each.value or b"").decode()) for each in self._batch or ()]

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, values: Sequence[str]) -> list[int]:
        sent = [self._producer.send(OUTPUT, value.encode(), partition=self.partition) for value in values]
        return [each.result().offset for each in sent]

    def send_offset(self, offset: int) -> None:
        assert self._batch.offsets[self._at].offset == offset
        self._producer.send_offsets(self._batch)

    def commit(self) -> None:
        self._producer.commit_transaction()

    def abort(self) -> None:
        self._producer.abort_transaction()

    def close(self) -> None:
        self._client.close()


LIBRARIES: dict[str, type[Copier]] = {
    "ottla": Ottla,
    "confluent": Confluent,
    "kafka-python": KafkaPython,
    "aiokafka": Aiokafka,
}


class Process:
    """One life; what it does is written down before it is done."""

    def __init__(self, copier: Copier, id_: str, life: str, path: Path) -> None:
        self._copier = copier
        self._id = id_
        self._process = f"{id_}.{life}"
        self._history = History(time.monotonic)
        self._file = path.open("a")
        self._input = Partition(INPUT, copier.partition)
        self._output = Partition(OUTPUT, copier.partition)
        self._sent = 0

    def run(self) -> None:
        """Until something is not known any more."""
        operation = self._history.begin(Kind.init, self._process, transactional_id=self._id)
        self._copier.initialise()
        self._end(operation, Outcome.ok)
        while True:
            operation = self._history.begin(Kind.committed, self._process)
            committed = self._copier.committed()
            operation.read_offset(GROUP, self._input, committed)
            self._end(operation, Outcome.ok)
            self._copier.seek(committed or 0)
            positions = [(self._input, committed or 0)]
            self._end(self._history.begin(Kind.assign, self._process, positions=positions), Outcome.ok)
            while self._transact():
                pass

    def _transact(self) -> bool:
        """Whether to go on behind it, instead of where it began."""
        records = self._copier.poll()
        if not records:
            return True
        operation = self._history.begin(Kind.transaction, self._process, transactional_id=self._id)
        operation.poll(self._input, records)
        sends = []
        for _, value in records:
            self._sent += 1
            sends.append(operation.send(self._output, f"{value}|{self._process}#{self._sent}"))
        operation.commit_offset(GROUP, self._input, records[-1][0] + 1)
        self._write(operation)
        try:
            self._copier.begin()
            for send, offset in zip(sends, self._copier.send([send.value for send in sends]), strict=True):
                send.acknowledge(offset)
            self._copier.send_offset(records[-1][0] + 1)
        except Exception as error:  # noqa: BLE001 - whatever a library raises
            print(f"{self._process} aborts: {error!r}", flush=True)
            self._copier.abort()
            self._end(operation, Outcome.failed)
            return False
        operation.ask_to_commit()
        self._write(operation)
        self._copier.commit()
        self._end(operation, Outcome.ok)
        return True

    def _end(self, operation: Operation, outcome: Outcome) -> None:
        operation.end(outcome)
        self._write(operation)

    def _write(self, operation: Operation) -> None:
        self._file.write(f"{operation.as_line()}\n")
        self._file.flush()


def main() -> int:
    library, bootstrap, id_, life, partition, path = sys.argv[1:]
    try:
        Process(LIBRARIES[library](bootstrap, id_, int(partition)), id_, life, Path(path)).run()
    except Exception as error:  # noqa: BLE001 - whatever a library raises
        print(f"{id_}.{life} ends: {error!r}", flush=True)
    return 1


if __name__ == "__main__":
    # At once: libraries wait for threads, and for answers that will not come.
    import os

    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)
