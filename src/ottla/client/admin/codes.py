"""Kafka's codes of what later brokers may have more of, and what a principal may do with a resource."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

__all__ = ["AclOperation", "Code", "operations"]

_NOT_ASKED: Final = -(1 << 31)


class Code(IntEnum):
    """A member for each code that this client knows; any other is UNKNOWN, which each of these has."""

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls["UNKNOWN"]


class AclOperation(Code):
    """What a principal does. ANY is for filters; UNKNOWN is one that this client does not know."""

    UNKNOWN = 0
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


def operations(bits: int) -> frozenset[AclOperation] | None:
    """The operations that a response's bits stand for; None where it was not asked for them."""
    if bits == _NOT_ASKED:
        return None
    return frozenset(operation for operation in AclOperation if operation > 1 and bits >> operation & 1)
