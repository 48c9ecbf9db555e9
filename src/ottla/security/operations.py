"""The bit fields in which responses tell what a client may do (KIP-430)."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.protocol.codes import Operation


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
