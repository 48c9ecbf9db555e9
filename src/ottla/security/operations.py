"""ACL operations, and the bit fields in which responses tell what a client may do (KIP-430)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Operation(IntEnum):
    """Kafka's AclOperation codes."""

    UNKNOWN = 0
    ANY = 1
    """In a filter: each of them"""
    ALL = 2
    """In an ACL: each of them"""
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    """What brokers alone do: follow, write markers, register"""
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


def bit_field(operations: Iterable[Operation]) -> int:
    """One bit for each operation, at its code."""
    return sum(1 << operation for operation in operations)


_O = Operation
TOPIC_OPERATIONS = bit_field(
    (_O.READ, _O.WRITE, _O.CREATE, _O.DELETE, _O.ALTER, _O.DESCRIBE, _O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS)
)
CLUSTER_OPERATIONS = bit_field(
    (
        _O.CREATE,
        _O.ALTER,
        _O.DESCRIBE,
        _O.CLUSTER_ACTION,
        _O.DESCRIBE_CONFIGS,
        _O.ALTER_CONFIGS,
        _O.IDEMPOTENT_WRITE,
    )
)
GROUP_OPERATIONS = bit_field((_O.READ, _O.DELETE, _O.DESCRIBE, _O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS))
