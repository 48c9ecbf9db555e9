"""What is done about the broken values of a batch (`interface.Errors`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from ottla.client.columns.columns import Columns
from ottla.client.values.interface import BrokenValue, BrokenValueError, DeadLetterTopic, Decoded, Errors

__all__ = ["Settled", "settle"]


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of a batch: its rows where `keep` (boolean; None: all of them) is true.

    `reasons`, for errors="column", is a column of strings, null where a value is sound. `dead_letters` are to
    be sent to the `DeadLetterTopic`.
    """

    array: pa.Array
    keep: pa.Array | None = None
    reasons: pa.Array | None = None
    dead_letters: Sequence[BrokenValue] = ()


def settle(
    errors: Errors, decoded: Decoded, columns: Columns, topic: str, part: Literal["key", "value"] = "value"
) -> Settled:
    """Apply `errors` to what was decoded from the `part` of `columns`, read from `topic`."""
    if errors == "column":
        reasons = [decoded.broken.get(row) for row in range(len(columns))]
        return Settled(decoded.array, reasons=pa.array(reasons, pa.string()))
    if not decoded.broken:
        return Settled(decoded.array)
    if errors != "skip":
        source = columns.value if part == "value" else columns.key
        broken = []
        for row, reason in sorted(decoded.broken.items()):
            record = next(columns[row : row + 1].records(topic))
            broken.append(
                BrokenValue(topic, record.partition, record.offset, source[row] or b"", reason, record)
            )
        if callable(errors):
            errors(broken)
        elif isinstance(errors, DeadLetterTopic):
            return Settled(decoded.array, _sound(decoded), dead_letters=broken)
        else:
            raise BrokenValueError(_message(part, broken), broken)
    return Settled(decoded.array, _sound(decoded))


def _sound(decoded: Decoded) -> pa.Array:
    return pa.array([row not in decoded.broken for row in range(len(decoded.array))], pa.bool_())


def _message(part: str, broken: Sequence[BrokenValue]) -> str:
    first = broken[0]
    more = f" (and {len(broken) - 1} more in this batch)" if len(broken) > 1 else ""
    return f"the {part} of {first.topic}-{first.partition} at offset {first.offset}: {first.reason}{more}"
