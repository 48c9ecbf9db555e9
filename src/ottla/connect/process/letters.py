"""Dead letters of a sink: records that the error policy leaves out, with the reason in their headers
(KIP-298).
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Mapping
from typing import Final

from ottla.client.admin.topics import NewTopic
from ottla.client.columns.columns import Record
from ottla.client.errors import ClientError
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.errors import ConnectError
from ottla.connect.process.kafka import Kafka
from ottla.connect.process.parent import described, trace_of
from ottla.connect.process.tolerance import Failure
from ottla.connect.worker.ids import ConnectorTaskId
from ottla.protocol.errors import ErrorCode

_HEADER: Final = "__connect.errors."
_NO_TIMESTAMP: Final = -1

_log: Final = logging.getLogger(__name__)


class DeadLetters:
    """Writes to `errors.deadletterqueue.topic.name`; without one it writes nowhere."""

    def __init__(
        self, kafka: Kafka, task: ConnectorTaskId, topic: str, replication_factor: int, *, headers: bool
    ) -> None:
        self._kafka = kafka
        self._task = task
        self._topic = topic
        self._replication_factor = replication_factor
        self._has_headers = headers
        self._producer: AsyncProducer | None = None
        self._sent: list[concurrent.futures.Future[None]] = []

    def start(self) -> None:
        """Make the topic if there is none. ConnectError."""
        if not self._topic:
            return
        try:
            admin = self._kafka.client("admin").admin
            created = self._kafka.call(
                admin.topics.create([NewTopic(self._topic, 1, self._replication_factor)])
            )
            error = created.errors.get(self._topic)
            if error is not None and error.code is not ErrorCode.topic_already_exists:
                raise error
            self._producer = self._kafka.producer()
        except ClientError as error:
            raise ConnectError(
                f"Could not initialize dead letter queue with topic={self._topic}: {error}"
            ) from error

    def send(self, failure: Failure, record: Record) -> None:
        producer = self._producer
        if producer is None:
            return
        headers = record.headers
        if self._has_headers:
            headers = (*headers, *_reasons(self._task, failure, record).items())

        async def send() -> None:
            timestamp = None if record.timestamp == _NO_TIMESTAMP else record.timestamp
            await (
                await producer.send(
                    self._topic, record.value, key=record.key, headers=headers, timestamp=timestamp
                )
            )

        self._sent.append(self._kafka.begin(send()))

    def settle(self) -> None:
        """Before offsets are committed: all letters are in their topic. ConnectError."""
        sent, self._sent = self._sent, []
        for each in sent:
            try:
                each.result()
            except ClientError as error:
                raise ConnectError(
                    f"Could not produce message to dead letter queue. topic={self._topic}: {error}"
                ) from error


def _reasons(task: ConnectorTaskId, failure: Failure, record: Record) -> Mapping[str, bytes]:
    found = described(failure.error)
    reasons = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": task.connector,
        "task.id": str(task.task),
        "stage": failure.stage.value,
        "class.name": failure.executing,
        "exception.class.name": found["kind"],
        "exception.message": str(failure.error),
        "exception.stacktrace": trace_of(failure.error),
    }
    return {_HEADER + name: text.encode("utf-8", "replace") for name, text in reasons.items()}
