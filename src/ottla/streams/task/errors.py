"""What is done about a record that fails: Kafka Streams' handlers (KIP-161, KIP-1033, KIP-1034)."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ottla.streams.records import Headers, Record

__all__ = ["DeadLetter", "ErrorContext", "ErrorHandler", "Handlers", "Response", "handler_named"]


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """Which record of the input failed, and where. Without one (a punctuation) topic is None, numbers are
    -1."""

    topic: str | None
    partition: int
    offset: int
    timestamp: int
    headers: Headers
    node: str
    task_id: str
    raw_key: bytes | None = None
    raw_value: bytes | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record for the dead-letter topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """Go on without the record, or fail; and what goes to a dead-letter topic."""

    result: Literal["continue", "fail"]
    dead_letters: tuple[DeadLetter, ...] = ()


# The record as far as it was understood: None where it could not be read.
ErrorHandler = Callable[[ErrorContext, Record[Any, Any] | None, Exception], Response]

Chosen = Literal["continue", "fail"] | ErrorHandler
"""A handler, or the name of one of Kafka's."""


def handler_named(result: Literal["continue", "fail"], dead_letter_topic: str | None = None) -> ErrorHandler:
    """Kafka's handlers that log and fail, or log and continue; with a topic the raw record is written to
    it."""

    def handle(context: ErrorContext, record: Record[Any, Any] | None, error: Exception) -> Response:  # noqa: ARG001
        if dead_letter_topic is None:
            return Response(result)
        return Response(result, (_dead_letter(dead_letter_topic, context, error),))

    return handle


def _dead_letter(topic: str, context: ErrorContext, error: Exception) -> DeadLetter:
    trace = "".join(traceback.format_exception(error))
    kind = type(error)
    about = {
        "exception": f"{kind.__module__}.{kind.__qualname__}",
        "stacktrace": trace,
        "message": str(error),
        "topic": context.topic or "",
        "partition": str(context.partition),
        "offset": str(context.offset),
    }
    headers = tuple((f"__streams.errors.{name}", text.encode()) for name, text in about.items())
    return DeadLetter(topic, context.raw_key, context.raw_value, context.headers + headers, context.timestamp)


_FAIL = handler_named("fail")


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is asked when a record cannot be read, processed, or written."""

    deserialization: ErrorHandler = field(default=_FAIL)
    processing: ErrorHandler = field(default=_FAIL)
    production: ErrorHandler = field(default=_FAIL)

    @classmethod
    def chosen(
        cls, deserialization: Chosen, processing: Chosen, production: Chosen, dead_letter_topic: str | None
    ) -> Handlers:
        """As settings name them; those that are named write to the dead-letter topic, if there is one."""
        given = deserialization, processing, production
        return cls(*(each if callable(each) else handler_named(each, dead_letter_topic) for each in given))
