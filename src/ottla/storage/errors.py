"""What storage raises when the disk refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ottla.protocol.errors import ErrorCode, KafkaError

__all__ = ["LogClosedError", "LogStorageError", "refusals"]


class LogStorageError(KafkaError):
    """The disk refused a write, a sync or a read; clients are told kafka_storage_error and retry."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.kafka_storage_error, message)

    @classmethod
    def wrap(cls, action: str, error: OSError) -> LogStorageError:
        """An error that says what was being done, and what the operating system said."""
        return cls(f"{action}: {error.strerror or error}")


class LogClosedError(LogStorageError):
    """The log was closed: its folder may be another one's by now."""


@contextmanager
def refusals(action: str) -> Iterator[None]:
    """Raises LogStorageError where what is done inside raises OSError."""
    try:
        yield
    except OSError as error:
        raise LogStorageError.wrap(action, error) from error
