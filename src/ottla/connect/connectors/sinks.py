"""What sinks share: records in batches, retries, and which record it was that the target did not take."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConnectError, RejectedError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkConnector, SinkTask, TopicPartition
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast
from ottla.connect.version import VERSION

__all__ = [
    "WritingSinkTask",
    "BusyError",
    "TargetError",
    "backoff_ms",
    "batch_config",
    "pieces",
    "retry_config",
]

_MAX_BACKOFF_MS: Final = 60_000

_Place = tuple[str, int | None, int]


class TargetError(ConnectError):
    """The target takes nothing from this task (wrong credentials, no such place): no record's fault."""


class BusyError(RetriableError):
    """The target says when it is to be asked again."""

    def __init__(self, text: str, delay_ms: int) -> None:
        super().__init__(text)
        self.delay_ms: Final = delay_ms


def batch_config(definition: ConfigDef, *, batch: int, retries: int = 10, backoff: int = 3000) -> ConfigDef:
    """The settings of `WritingSinkTask`, in a group of their own."""
    definition.define(
        "batch.size", ConfigType.INT, batch, Importance.MEDIUM,
        "How many records are written at a time, at most.", validator=AtLeast(1), group="Writes", order=1,
    )  # fmt: skip
    return retry_config(definition, retries=retries, backoff=backoff)


def retry_config(definition: ConfigDef, *, retries: int = 10, backoff: int = 3000) -> ConfigDef:
    """Those of a task that makes its batches itself."""
    return (
        definition
        .define("max.retries", ConfigType.INT, retries, Importance.MEDIUM,
                "How often records are written again that the target did not take for now; then the task "
                "fails.",
                validator=AtLeast(0), group="Retries", order=1)
        .define("retry.backoff.ms", ConfigType.INT, backoff, Importance.MEDIUM,
                "How long to wait before that; twice as long each time, up to a minute.",
                validator=AtLeast(0), group="Retries", order=2)
    )  # fmt: skip


def backoff_ms(first_ms: int, failures: int) -> int:
    """How long to wait after so many failures in a row (1 or more), with some chance in it."""
    longest = min(first_ms * 2 ** min(failures - 1, 30), max(_MAX_BACKOFF_MS, first_ms))
    return int(longest * (1 - random.random() / 4))  # noqa: S311 - nothing secret


def pieces(
    made: Sequence[tuple[SinkRecord, bytes]], limit: int
) -> Iterator[Sequence[tuple[SinkRecord, bytes]]]:
    """Records with what they became, together no larger than `limit` bytes unless one is by itself."""
    piece: list[tuple[SinkRecord, bytes]] = []
    size = 0
    for record, data in made:
        if piece and size + len(data) > limit:
            yield piece
            piece, size = [], 0
        piece.append((record, data))
        size += len(data)
    if piece:
        yield piece


class WritingSinkTask(SinkTask):
    """Writes what it is given before it asks for more.

    RetriableError from `write`: the batch comes again, and what was written before it does not. Any other
    ConnectError, but TargetError and RejectedError: the records are written one by one, and those that fail
    again are rejected.
    """

    connector: ClassVar[type[SinkConnector]]
    """Whose settings they are, those of `batch_config` among them"""

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        self.config = config
        self.settings = self.connector().settings(config)
        self._failures = 0
        self._written: dict[_Place, None] = {}
        self.connect(self.settings)

    @abstractmethod
    def connect(self, settings: Settings) -> None:
        """Be ready to write."""

    @abstractmethod
    def write(self, batch: Sequence[SinkRecord]) -> None:
        """All of it is in the target when this returns, or was given to `reject`."""

    def batches(self, records: Sequence[SinkRecord]) -> Iterable[Sequence[SinkRecord]]:
        """What is written at a time."""
        size = self.settings.integer("batch.size")
        return [records[start : start + size] for start in range(0, len(records), size)]

    @property
    def tolerates(self) -> bool:
        """Whether `reject` may come back."""
        return self.context.errant_record_reporter is not None

    def put(self, records: Sequence[SinkRecord]) -> None:
        if self._written:
            records = [each for each in records if _place(each) not in self._written]
        done: list[SinkRecord] = []
        try:
            for batch in self.batches(records):
                self._write(batch, done)
        except RetriableError as error:
            self._written |= dict.fromkeys(map(_place, done))
            self._failures += 1
            if self._failures > self.settings.integer("max.retries"):
                raise ConnectError(f"max.retries={self._failures - 1} is used up: {error}") from error
            wait_ms = backoff_ms(self.settings.integer("retry.backoff.ms"), self._failures)
            self.context.timeout(error.delay_ms if isinstance(error, BusyError) else wait_ms)
            raise
        self._failures = 0
        self._written.clear()

    def _write(self, batch: Sequence[SinkRecord], done: list[SinkRecord]) -> None:
        try:
            self.write(batch)
        except (RetriableError, TargetError, RejectedError):
            raise
        except ConnectError as error:
            if len(batch) == 1:
                self.reject(batch[0], error)
            elif not self.tolerates:
                where = f"one of {len(batch)} records, {batch[0].where} on"
                raise RejectedError(f"{error} ({where})") from error
            else:  # which of them it is shows when each is written by itself
                for record in batch:
                    self._write([record], done)
        done += batch

    def close(self, partitions: Sequence[TopicPartition]) -> None:
        gone = frozenset((each.topic, each.partition) for each in partitions)
        self._written = {place: None for place in self._written if place[:2] not in gone}


def _place(record: SinkRecord) -> _Place:
    return record.original_topic, record.original_partition, record.original_offset
