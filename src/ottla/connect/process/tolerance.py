"""What becomes of a record that fails: retries, then the error policy (KIP-298). Pure but for the waiting it
is given.

An operation that raises RetriableError is tried again for `errors.retry.timeout`; what fails for good fails
the task, or, with `errors.tolerance=all`, the record is left out: logged (`errors.log.enable`), and sent to
the dead letter topic.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.settings import Settings

T = TypeVar("T")

_FIRST_DELAY_MS: Final = 300

_log: Final = logging.getLogger(__name__)


class Stage(Enum):
    """Where it failed; the value is Kafka's, as dead letters say it."""

    TASK_POLL = "TASK_POLL"
    TASK_PUT = "TASK_PUT"
    TRANSFORMATION = "TRANSFORMATION"
    KEY_CONVERTER = "KEY_CONVERTER"
    VALUE_CONVERTER = "VALUE_CONVERTER"
    HEADER_CONVERTER = "HEADER_CONVERTER"
    KAFKA_PRODUCE = "KAFKA_PRODUCE"
    KAFKA_CONSUME = "KAFKA_CONSUME"


class Failure(NamedTuple):
    """An operation on a record that failed for good."""

    stage: Stage
    executing: str
    """The class that did it"""
    error: Exception
    attempts: int
    record: object
    """What was worked on: a consumed record of a sink, a record of a source"""


class Policy(NamedTuple):
    retry_timeout_ms: int = 0
    """-1: without end"""
    retry_delay_max_ms: int = 60_000
    tolerates: bool = False
    logs: bool = False
    logs_records: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        return cls(
            settings.integer("errors.retry.timeout"),
            settings.integer("errors.retry.delay.max.ms"),
            settings.string("errors.tolerance").lower() == "all",
            settings.boolean("errors.log.enable"),
            settings.boolean("errors.log.include.messages"),
        )


class Skipped(Exception):  # noqa: N818 - it is no error
    """The record is left out, as the policy says."""


class Tolerance:
    """`wait_ms` waits, and gives False when the task is to stop; `report` sends a letter."""

    def __init__(
        self,
        policy: Policy,
        name: str,
        now_ms: Callable[[], int],
        wait_ms: Callable[[int], bool],
        chance: Callable[[], float],
        report: Callable[[Failure], None],
    ) -> None:
        self.policy = policy
        self._name = name
        self._now_ms = now_ms
        self._wait_ms = wait_ms
        self._chance = chance
        self._report = report

    def execute(self, stage: Stage, executing: str, record: object, operation: Callable[[], T]) -> T:
        """What the operation gives. Skipped where the record is left out; ConnectError where that is not
        tolerated.
        """
        began_ms = self._now_ms()
        attempts = 0
        while True:
            attempts += 1
            try:
                return operation()
            except RetriableError as error:
                if not self._tries_again(attempts, began_ms):
                    self.failed(Failure(stage, executing, error, attempts, record))
                    raise Skipped from error
            except Exception as error:
                self.failed(Failure(stage, executing, error, attempts, record))
                raise Skipped from error

    def _tries_again(self, attempts: int, began_ms: int) -> bool:
        policy = self.policy
        left_ms = policy.retry_timeout_ms - (self._now_ms() - began_ms)
        if policy.retry_timeout_ms >= 0 and left_ms <= 0:
            return False
        delay_ms = _FIRST_DELAY_MS * 2 ** min(attempts - 1, 30)
        if delay_ms > policy.retry_delay_max_ms:
            delay_ms = int(policy.retry_delay_max_ms * self._chance())
        if policy.retry_timeout_ms >= 0:
            delay_ms = min(delay_ms, left_ms)
        return self._wait_ms(delay_ms)

    def failed(self, failure: Failure) -> None:
        """Report it. ConnectError where it is not tolerated."""
        if self.policy.logs:
            what = f" Record: {failure.record!r}" if self.policy.logs_records else ""
            _log.error(
                "Error encountered in task %s. Executing stage '%s' with class '%s'.%s",
                self._name,
                failure.stage.value,
                failure.executing,
                what,
                exc_info=failure.error,
            )
        self._report(failure)
        if not self.policy.tolerates:
            raise ConnectError("Tolerance exceeded in error handler") from failure.error
