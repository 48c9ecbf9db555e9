"""What every format of values keeps to, and what is done about values that are broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from ottla.client.errors import ClientError

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.columns.binary import BinaryColumn
    from ottla.client.columns.columns import Record

__all__ = [
    "BrokenValue",
    "BrokenValueError",
    "Counts",
    "DeadLetterTopic",
    "Decoded",
    "Decoder",
    "Errors",
    "Values",
    "ValuesError",
    "check_errors",
]


class ValuesError(ClientError, ValueError):
    """Values that cannot be read or written in the way that was asked for: the text says why."""


class BrokenValueError(ValuesError):
    """A record's value is not what it was said to be; `broken` has all of the batch."""

    def __init__(self, message: str, broken: Sequence[BrokenValue] = ()) -> None:
        super().__init__(message)
        self.broken = broken


class BrokenValue(NamedTuple):
    """The value (or key) of one record that could not be decoded, and why not."""

    topic: str
    partition: int
    offset: int
    value: bytes
    reason: str
    record: Record
    """All of it"""


class DeadLetterTopic(NamedTuple):
    """Broken records go to this topic as they are, with more headers that say where they were and why."""

    name: str


Errors = Literal["raise", "skip", "column"] | DeadLetterTopic | Callable[[Sequence[BrokenValue]], None]
"""What is done about broken values. All are counted.

`raise`: a `BrokenValueError` names the first. `skip`: their records are left out. `column`: they are null,
and the reason is in a column `<name>_error`. A function is given those of each batch, a `DeadLetterTopic`
gets their records; the records are left out.
"""

_WORDS: Final = ("raise", "skip", "column")


def check_errors(errors: Errors) -> Errors:
    """`errors`, if it is one of the above; a `ValuesError` otherwise."""
    if errors in _WORDS or isinstance(errors, DeadLetterTopic) or callable(errors):
        return errors
    raise ValuesError(f"errors is one of {', '.join(_WORDS)}, a function or a topic, not {errors!r}")


@dataclass(slots=True)
class Counts:
    """What a decoder has met so far: `records` includes the `nulls` (tombstones) and the `broken`."""

    records: int = 0
    nulls: int = 0
    broken: int = 0


class Decoded(NamedTuple):
    """Row i of `array` is record i, null where it is a tombstone or `broken`, which has the row's reason."""

    array: pa.Array
    broken: Mapping[int, str] = MappingProxyType({})


class Decoder(Protocol):
    """Decodes the batches of one stream: what was found out from the first holds for all."""

    @property
    def type(self) -> pa.DataType | None:
        """The type of all arrays; None as long as it is to be inferred and no value was seen."""

    @property
    def counts(self) -> Counts: ...

    def decode(self, column: BinaryColumn) -> Decoded:
        """The values of a batch. While `type` is None the array's is Arrow's null."""


class Values(Protocol):
    """A format of values. Says what to do; holds no state, so that it serves any number of streams."""

    @property
    def errors(self) -> Errors: ...

    def decoder(self) -> Decoder:
        """A decoder for one stream."""

    def encode(self, array: pa.Array, /) -> BinaryColumn:
        """The bytes of each row, null for null; `ValuesError` for what the format cannot hold."""
