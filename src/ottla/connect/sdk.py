"""What connectors are made of: Kafka Connect's contracts in Python.

    class Numbers(SourceConnector):
        def config(self) -> ConfigDef:
            return ConfigDef().define("topic", ConfigType.STRING, REQUIRED, Importance.HIGH, "Where they go")
        def task_class(self) -> type[SourceTask]:
            return NumbersTask

    class NumbersTask(SourceTask):
        def start(self, config):
            self.topic = config["topic"]
            self.next = int((self.context.offset({"of": "numbers"}) or {"next": 0})["next"])
        def poll(self):
            self.next += 1
            return [SourceRecord({"of": "numbers"}, {"next": self.next}, self.topic, value=self.next)]

A connector says how the work is cut into tasks; tasks do it, each in a process of its own.
`ottla.connect.testing` runs both without a broker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ottla.connect.data.schema import Value
from ottla.connect.definition import ConfigDef, ConfigValue
from ottla.connect.errors import ConnectError, RejectedError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.settings import Settings

__all__ = [
    "Config",
    "Connector",
    "ConnectorContext",
    "ErrantRecordReporter",
    "ExactlyOnceSupport",
    "Offset",
    "Produced",
    "SinkConnector",
    "SinkTask",
    "SinkTaskContext",
    "SourceConnector",
    "SourceTask",
    "SourceTaskContext",
    "Task",
    "TopicPartition",
    "TransactionContext",
]

Config = Mapping[str, str]
"""As it was given; `Connector.config().parse(config)` has it typed"""
Offset = Mapping[str, Value]
"""A place in a source: numbers, texts, bools and None, as JSON has them"""


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class Produced(NamedTuple):
    """Where a record went. `timestamp` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class ExactlyOnceSupport(Enum):
    """Whether a source can give each record once (KIP-618)."""

    SUPPORTED = "SUPPORTED"
    UNSUPPORTED = "UNSUPPORTED"


# Connectors


class ConnectorContext(Protocol):
    """What the runtime does for a connector."""

    def request_task_reconfiguration(self) -> None:
        """Have `task_configs` asked again, since the source or the target is no longer what it was."""

    def raise_error(self, error: Exception) -> None:
        """The connector has failed, where nobody called it."""

    def offset(self, partition: Offset) -> Offset | None:
        """Of a source: what was committed last for one of its partitions."""

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        """As `offset`, for many at once, in their order."""


class Connector(ABC):
    """A source or a sink. It is made without arguments; `context` is there from before `start` on."""

    context: ConnectorContext

    def version(self) -> str:
        """Of the plugin, as the REST face shows it."""
        return "undefined"

    @abstractmethod
    def config(self) -> ConfigDef:
        """Its settings beside Connect's own: types, defaults, documentation."""

    def settings(self, config: Config) -> Settings:
        """Typed. ConfigError for the first that is wrong."""
        return self.config().parse(config)

    def validate(self, config: Config) -> list[ConfigValue]:
        """What is wrong with a configuration, setting by setting; override it to ask the other system."""
        return self.config().validate(config)

    def start(self, config: Config) -> None:
        """Keep the configuration; look at the other system if the tasks depend on it."""
        self.started_with = dict(config)

    @abstractmethod
    def task_class(self) -> type[Task]: ...

    def task_configs(self, max_tasks: int) -> Sequence[Config]:  # noqa: ARG002 - one does not need it
        """At most `max_tasks`, one for each task. One task with the connector's configuration by itself."""
        return [self.started_with]

    def stop(self) -> None:  # noqa: B027 - not every one has to
        """End what `start` began."""


class SourceConnector(Connector):
    @abstractmethod
    def task_class(self) -> type[SourceTask]: ...

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport | None:  # noqa: ARG002
        """None: not known, so that `exactly.once.support=required` is refused."""
        return None

    def can_define_transaction_boundaries(self, config: Config) -> bool:  # noqa: ARG002
        """Whether `transaction.boundary=connector` is possible."""
        return False

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:  # noqa: ARG002
        """Before someone's new offsets are written (KIP-875). Raise where they make no sense; give True where
        they were looked at. None in place of an offset: it is to be forgotten.
        """
        return False


class SinkConnector(Connector):
    @abstractmethod
    def task_class(self) -> type[SinkTask]: ...

    def alter_offsets(self, config: Config, offsets: Mapping[TopicPartition, int | None]) -> bool:  # noqa: ARG002
        """As of a source, with the offsets of topics."""
        return False


# Tasks


class Task(ABC):
    """Made without arguments; `context` is there from before `start` on. All its methods are called in one
    thread, but `SourceTask.commit`, `commit_offsets` and `commit_record`.
    """

    context: Any

    @abstractmethod
    def start(self, config: Config) -> None:
        """Connect, and be ready to go. What it raises fails the task."""

    def stop(self) -> None:  # noqa: B027 - not every one has to
        """Let everything go."""

    def version(self) -> str:
        return "undefined"


class TransactionContext(Protocol):
    """With `transaction.boundary=connector`: the task says where transactions end."""

    def commit_transaction(self, record: SourceRecord | None = None) -> None:
        """After this record; without one after the batch that `poll` gives next."""

    def abort_transaction(self, record: SourceRecord | None = None) -> None:
        """As `commit_transaction`; all of it is thrown away."""


class SourceTaskContext(Protocol):
    """What the runtime does for a source's task."""

    def offset(self, partition: Offset) -> Offset | None:
        """What was committed last for a partition of the source: go on behind it."""

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        """As `offset`, for many at once, in their order."""

    @property
    def is_stopping(self) -> bool:
        """A poll that waits should end soon."""

    @property
    def transactions(self) -> TransactionContext | None:
        """None unless the task says where transactions end."""


class SourceTask(Task):
    context: SourceTaskContext

    @abstractmethod
    def poll(self) -> Sequence[SourceRecord] | None:
        """What there is now; wait a little where there is nothing (None). RetriableError: it is called again.

        It is not called while much is on its way, so that a slow cluster slows the source down.
        """

    def commit(self) -> None:
        """Offsets have been committed; called in another thread than `poll`, beside it."""

    def commit_offsets(self, offsets: Sequence[tuple[Offset, Offset]]) -> None:
        """These offsets (each behind its partition) are kept, so that the source may forget what is before
        them; called as `commit` is, before it.
        """

    def commit_record(self, record: SourceRecord, produced: Produced | None) -> None:
        """A record is in its topic, or (None) was left out by a transform or by the error policy. Whoever
        overrides it gets records produced one by one.
        """


class ErrantRecordReporter(Protocol):
    """KIP-610"""

    def report(self, record: SinkRecord, error: Exception) -> None:
        """This record cannot be dealt with: the error policy says what becomes of it. ConnectError where that
        is to fail the task.
        """


class SinkTaskContext(Protocol):
    """What the runtime does for a sink's task."""

    @property
    def assignment(self) -> Sequence[TopicPartition]: ...

    def offset(self, partition: TopicPartition, offset: int) -> None:
        """Go on at this offset, such as one that the target knows."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Give no records of these until `resume`."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def timeout(self, timeout_ms: int) -> None:
        """How long to wait before the next call of `put`, once: after a RetriableError, or where there is
        nothing.
        """

    def request_commit(self) -> None:
        """Commit offsets soon."""

    @property
    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        """None where the error policy has no place for records that fail one by one."""


class SinkTask(Task):
    context: SinkTaskContext

    def open(self, partitions: Sequence[TopicPartition]) -> None:
        """These are this task's from now on."""

    def close(self, partitions: Sequence[TopicPartition]) -> None:
        """These are not any more; their offsets are committed before."""

    @abstractmethod
    def put(self, records: Sequence[SinkRecord]) -> None:
        """Write them, or keep them until `flush`. RetriableError: the same ones come again, and nothing else
        before. It is also called without records, when there were none for a while.
        """

    def reject(self, record: SinkRecord, error: ConnectError) -> None:
        """For `put` to call: the target does not take this record, and may take others. RejectedError, which
        says where the record was, unless the error policy has a place for it.
        """
        reporter = self.context.errant_record_reporter
        if reporter is None:
            raise RejectedError(f"{error} ({record.where})") from error
        reporter.report(record, error)

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        """All that was put is in the target when this returns: then these offsets are committed."""

    def pre_commit(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """What may be committed. By itself all that was put, after `flush`; a sink that writes when it likes
        gives what is in the target, and one that keeps offsets in the target gives nothing.
        """
        self.flush(offsets)
        return offsets
