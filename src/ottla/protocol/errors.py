"""What can go wrong on the wire, and Kafka's error codes."""

from __future__ import annotations

from typing import Final

from kio.schema.errors import ErrorCode

__all__ = ["DecodeError", "EncodeError", "ErrorCode", "KafkaError", "MalformedRequest"]

_LONGEST_MESSAGE: Final = 1000
"""Characters: messages quote what clients sent, and in old versions a string has room for 32 KiB."""


class KafkaError(Exception):
    """A refusal that the client is told of: an error code of the protocol and, optionally, why in words.

    Any core raises it; whoever builds the response turns it into `error_code` and `error_message`.
    """

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        if message is not None and len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]}..."
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.code.name if self.message is None else f"{self.code.name}: {self.message}"


class DecodeError(ValueError):
    """Bytes that do not follow their schema: too short, a length that cannot be, a null where none may be."""


class MalformedRequest(DecodeError):  # noqa: N818
    """A request that cannot be understood. There is nothing to answer: the connection is to be closed."""


class EncodeError(ValueError):
    """A message that does not fit its schema. Only a defect of ours can cause it."""
