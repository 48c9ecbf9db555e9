"""The processor API: what a node of a topology does with a record, and what it is given for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, Protocol, TypeVar

from ottla.streams.records import Record, RecordMetadata
from ottla.streams.windows import Duration

__all__ = ["Cancellable", "Processor", "ProcessorContext", "PunctuationType"]

KIn_contra = TypeVar("KIn_contra", contravariant=True)
VIn_contra = TypeVar("VIn_contra", contravariant=True)
KOut_contra = TypeVar("KOut_contra", contravariant=True)
VOut_contra = TypeVar("VOut_contra", contravariant=True)

PunctuationType = Literal["stream_time", "wall_clock_time"]


class Cancellable(Protocol):
    """What a schedule is ended by."""

    def cancel(self) -> None: ...


class ProcessorContext(Protocol[KOut_contra, VOut_contra]):
    """What a processor sees of the task that it runs in. All times are milliseconds."""

    @property
    def application_id(self) -> str: ...
    @property
    def task_id(self) -> str:
        """`<sub-topology>_<partition>`."""

    @property
    def record_metadata(self) -> RecordMetadata | None:
        """Where the record comes from that is being processed; None in a punctuation."""

    @property
    def stream_time_ms(self) -> int:
        """The greatest timestamp that the task has seen; -1 before the first record."""

    @property
    def wall_clock_ms(self) -> int: ...
    def forward(self, record: Record[KOut_contra, VOut_contra], to: str | None = None) -> None:
        """Hand `record` to all children, or to the one named `to`: depth first, before this returns."""

    # What a store holds is known to who named it: its type cannot be told from here.
    def store(self, name: str) -> object:
        """The state store `name`. Raises StreamsError where it is not connected to the processor."""

    def schedule(
        self, interval: Duration, kind: PunctuationType, callback: Callable[[int], None]
    ) -> Cancellable:
        """Call `callback` with the time each `interval` ("10s", a timedelta, milliseconds)."""

    def commit(self) -> None:
        """Ask for a commit soon."""


class Processor(Generic[KIn_contra, VIn_contra, KOut_contra, VOut_contra]):
    """A node's work, one instance for each task. Made by a supplier, such as the class itself."""

    def init(self, context: ProcessorContext[KOut_contra, VOut_contra]) -> None:
        """Called once, before the first record, when the stores can be read."""
        self.context = context

    def process(self, record: Record[KIn_contra, VIn_contra]) -> None:
        """Called for each record. What goes on is handed to `context.forward`."""
        raise NotImplementedError

    def close(self) -> None:
        """Called once, at the end of the task."""
